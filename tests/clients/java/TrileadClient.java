// A client by Trilead's SSH-2; README.md says what it does and prints.

import com.trilead.ssh2.Connection;
import com.trilead.ssh2.LocalStreamForwarder;
import java.io.File;
import java.io.IOException;

public class TrileadClient extends Client {
    private Connection connection;

    public static void main(String[] words) throws Exception {
        new TrileadClient().run(words);
    }

    @Override
    void connect(int port, String login, String method, String secret) throws Exception {
        connection = new Connection("127.0.0.1", port);
        connection.connect(null, 20_000, 20_000);
        boolean in =
                method.equals("key")
                        ? connection.authenticateWithPublicKey(login, new File(secret), null)
                        : connection.authenticateWithPassword(login, secret);
        if (!in) {
            throw new IOException("refused");
        }
    }

    @Override
    Stream open(String host, int port) throws IOException {
        LocalStreamForwarder stream = connection.createLocalStreamForwarder(host, port);
        return new Stream(stream.getInputStream(), stream.getOutputStream(), stream::close);
    }

    @Override
    void idle(int milliseconds) throws Exception {
        long end = System.nanoTime() + milliseconds * 1_000_000L;
        while (System.nanoTime() < end) {
            connection.sendIgnorePacket();
            Thread.sleep(100);
        }
    }

    @Override
    void disconnect() {
        connection.close();
    }
}
