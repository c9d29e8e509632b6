// A client by sshj; README.md says what it does and prints.

import java.io.IOException;
import net.schmizz.keepalive.KeepAliveProvider;
import net.schmizz.sshj.DefaultConfig;
import net.schmizz.sshj.SSHClient;
import net.schmizz.sshj.connection.channel.direct.DirectConnection;
import net.schmizz.sshj.transport.verification.PromiscuousVerifier;

public class SshjClient extends Client {
    private SSHClient client;

    public static void main(String[] words) throws Exception {
        new SshjClient().run(words);
    }

    @Override
    void connect(int port, String login, String method, String secret) throws Exception {
        DefaultConfig config = new DefaultConfig();
        config.setKeepAliveProvider(KeepAliveProvider.KEEP_ALIVE);
        client = new SSHClient(config);
        client.addHostKeyVerifier(new PromiscuousVerifier());
        client.connect("127.0.0.1", port);
        // Its keepalives start before the login: the user may be looking for the token.
        client.getConnection().getKeepAlive().setKeepAliveInterval(1);
        if (idles) {
            Thread.sleep(1500);
        }
        if (method.equals("key")) {
            client.authPublickey(login, secret);
        } else {
            client.authPassword(login, secret);
        }
    }

    @Override
    Stream open(String host, int port) throws IOException {
        DirectConnection connection = client.newDirectConnection(host, port);
        return new Stream(
                connection.getInputStream(), connection.getOutputStream(), connection::close);
    }

    @Override
    void idle(int milliseconds) throws Exception {
        Thread.sleep(milliseconds);
    }

    @Override
    void disconnect() throws IOException {
        client.disconnect();
    }
}
