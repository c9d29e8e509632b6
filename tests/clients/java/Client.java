// What the Java clients share: README.md says what they do and print.

import java.io.InputStream;
import java.io.OutputStream;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

abstract class Client {
    static final int CHANNELS = 20;

    boolean idles;

    interface Closing {
        void close() throws Exception;
    }

    record Stream(InputStream in, OutputStream out, Closing end) {}

    abstract void connect(int port, String login, String method, String secret) throws Exception;

    abstract Stream open(String host, int port) throws Exception;

    abstract void idle(int milliseconds) throws Exception;

    abstract void disconnect() throws Exception;

    void run(String[] words) throws Exception {
        idles = words[5].equals("idle");
        connect(Integer.parseInt(words[0]), words[1], words[2], words[3]);
        int colon = words[4].lastIndexOf(':');
        String host = words[4].substring(0, colon);
        int port = Integer.parseInt(words[4].substring(colon + 1));
        int number = Integer.parseInt(words[6]);
        switch (words[5]) {
            case "move" -> say(exchange(host, port, number));
            case "many" -> say(many(host, port, number));
            case "refused" -> refused(host, port);
            case "idle" -> {
                idle(number);
                say(exchange(host, port, 1000));
            }
            case "close" -> {
                Stream stream = open(host, port);
                stream.out.write(new byte[number]);
                stream.out.flush();
                stream.end.close();
                say("closed");
                Thread.sleep(1000);
            }
            default -> {
                open(host, port);
                say("open");
                Thread.sleep(Long.MAX_VALUE);
            }
        }
        disconnect();
        System.exit(0);
    }

    // Sends bytes, half-closes, and expects them back to the end.
    private String exchange(String host, int port, int size) throws Exception {
        Stream stream = open(host, port);
        byte[] payload = new byte[size];
        new Random().nextBytes(payload);
        Thread sender =
                new Thread(
                        () -> {
                            try {
                                stream.out.write(payload);
                                // sshj's close() drops what no window is there for; flush() waits.
                                stream.out.flush();
                                stream.out.close();
                            } catch (Exception error) {
                                say(error.toString());
                            }
                        });
        sender.start();
        byte[] received = stream.in.readAllBytes();
        sender.join();
        stream.end.close();
        if (!Arrays.equals(payload, received)) {
            return received.length + " of " + size + " bytes";
        }
        return "whole";
    }

    // Sends 1,000 bytes and awaits them back, many times.
    private String chat(String host, int port, int rounds) throws Exception {
        Stream stream = open(host, port);
        byte[] question = new byte[1000];
        for (int round = 0; round < rounds; round++) {
            Arrays.fill(question, (byte) round);
            stream.out.write(question);
            stream.out.flush();
            if (!Arrays.equals(question, stream.in.readNBytes(1000))) {
                return "round " + round;
            }
        }
        stream.out.close();
        int rest = stream.in.read();
        stream.end.close();
        return rest < 0 ? "whole" : "more came";
    }

    private String many(String host, int port, int rounds) throws Exception {
        ExecutorService pool = Executors.newFixedThreadPool(CHANNELS);
        List<Future<String>> results = new ArrayList<>();
        for (int index = 0; index < CHANNELS; index++) {
            results.add(pool.submit(() -> chat(host, port, rounds)));
        }
        pool.shutdown();
        for (Future<String> result : results) {
            if (!result.get().equals("whole")) {
                return result.get();
            }
        }
        return "whole";
    }

    private void refused(String host, int port) {
        try {
            open(host, port);
            say("it is open");
        } catch (Exception error) {
            say(error.toString());
        }
    }

    static void say(String line) {
        System.out.println(line);
        System.out.flush();
    }
}
