// A client by Apache MINA SSHD; README.md says what it does and prints.

import java.nio.file.Path;
import java.time.Duration;
import org.apache.sshd.client.SshClient;
import org.apache.sshd.client.channel.ChannelDirectTcpip;
import org.apache.sshd.client.keyverifier.AcceptAllServerKeyVerifier;
import org.apache.sshd.client.session.ClientSession;
import org.apache.sshd.common.keyprovider.FileKeyPairProvider;
import org.apache.sshd.common.keyprovider.KeyIdentityProvider;
import org.apache.sshd.common.util.net.SshdSocketAddress;
import org.apache.sshd.core.CoreModuleProperties;

public class MinaClient extends Client {
    private static final Duration LONGEST = Duration.ofSeconds(20);

    private final SshClient client = SshClient.setUpDefaultClient();
    private ClientSession session;

    public static void main(String[] words) throws Exception {
        new MinaClient().run(words);
    }

    @Override
    void connect(int port, String login, String method, String secret) throws Exception {
        // Its signs of life start after the login.
        CoreModuleProperties.HEARTBEAT_INTERVAL.set(client, Duration.ofMillis(500));
        client.setServerKeyVerifier(AcceptAllServerKeyVerifier.INSTANCE);
        client.setKeyIdentityProvider(
                method.equals("key")
                        ? new FileKeyPairProvider(Path.of(secret))
                        : KeyIdentityProvider.EMPTY_KEYS_PROVIDER);
        client.start();
        session = client.connect(login, "127.0.0.1", port).verify(LONGEST).getSession();
        if (method.equals("token")) {
            session.addPasswordIdentity(secret);
        }
        session.auth().verify(LONGEST);
    }

    @Override
    Stream open(String host, int port) throws Exception {
        ChannelDirectTcpip channel =
                session.createDirectTcpipChannel(
                        new SshdSocketAddress("127.0.0.1", 1), new SshdSocketAddress(host, port));
        channel.open().verify(LONGEST);
        return new Stream(
                channel.getInvertedOut(), channel.getInvertedIn(), () -> channel.close(false));
    }

    @Override
    void idle(int milliseconds) throws Exception {
        Thread.sleep(milliseconds);
    }

    @Override
    void disconnect() {
        client.stop();
    }
}
