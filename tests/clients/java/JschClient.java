// A client by JSch, of either publisher; README.md says what it does and prints.

import com.jcraft.jsch.ChannelDirectTCPIP;
import com.jcraft.jsch.JSch;
import com.jcraft.jsch.Session;
import java.io.InputStream;
import java.io.OutputStream;

public class JschClient extends Client {
    private Session session;

    public static void main(String[] words) throws Exception {
        new JschClient().run(words);
    }

    @Override
    void connect(int port, String login, String method, String secret) throws Exception {
        JSch jsch = new JSch();
        if (method.equals("key")) {
            jsch.addIdentity(secret);
        }
        session = jsch.getSession(login, "127.0.0.1", port);
        session.setConfig("StrictHostKeyChecking", "no");
        if (method.equals("token")) {
            session.setPassword(secret);
            session.setConfig("PreferredAuthentications", "password");
        }
        session.connect(20_000);
    }

    @Override
    Stream open(String host, int port) throws Exception {
        ChannelDirectTCPIP channel = (ChannelDirectTCPIP) session.openChannel("direct-tcpip");
        channel.setHost(host);
        channel.setPort(port);
        InputStream in = channel.getInputStream();
        OutputStream out = channel.getOutputStream();
        channel.connect(20_000);
        return new Stream(in, out, channel::disconnect);
    }

    @Override
    void idle(int milliseconds) throws Exception {
        long end = System.nanoTime() + milliseconds * 1_000_000L;
        while (System.nanoTime() < end) {
            session.sendKeepAliveMsg();
            Thread.sleep(100);
        }
    }

    @Override
    void disconnect() {
        session.disconnect();
    }
}
