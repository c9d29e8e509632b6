// Two pools of database connections through one tunnel of JSch; README.md says what it prints.
//
// HikariCP asks for one connection after the other, Tomcat's pool for as many as threads want.

import com.jcraft.jsch.JSch;
import com.jcraft.jsch.Session;
import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import java.sql.Connection;
import java.sql.ResultSet;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import javax.sql.DataSource;
import org.apache.tomcat.jdbc.pool.PoolProperties;

public class PoolClient {
    static final int CONNECTIONS = 10;
    static final int PATIENCE = 60_000;

    public static void main(String[] words) throws Exception {
        JSch jsch = new JSch();
        jsch.addIdentity(words[2]);
        Session session = jsch.getSession(words[1], "127.0.0.1", Integer.parseInt(words[0]));
        session.setConfig("StrictHostKeyChecking", "no");
        session.connect(PATIENCE);
        int colon = words[3].lastIndexOf(':');
        String host = words[3].substring(0, colon);
        int port = Integer.parseInt(words[3].substring(colon + 1));
        int local = session.setPortForwardingL("127.0.0.1", 0, host, port, null, PATIENCE);
        String url = "jdbc:postgresql://127.0.0.1:" + local + "/postgres?sslmode=disable";

        ExecutorService threads = Executors.newFixedThreadPool(2 * CONNECTIONS);
        CyclicBarrier all = new CyclicBarrier(2 * CONNECTIONS);
        List<Future<Integer>> found = new ArrayList<>();
        for (DataSource pool : List.of(hikari(url), tomcat(url))) {
            for (int index = 0; index < CONNECTIONS; index++) {
                found.add(threads.submit(() -> use(pool, all)));
            }
        }
        Set<Integer> servers = new TreeSet<>();
        for (Future<Integer> one : found) {
            servers.add(one.get());
        }
        System.out.println(servers.size() + " connections");
        System.exit(0);
    }

    private static DataSource hikari(String url) {
        HikariConfig config = new HikariConfig();
        config.setJdbcUrl(url);
        config.setUsername("postgres");
        config.setMaximumPoolSize(CONNECTIONS);
        config.setInitializationFailTimeout(-1);
        config.setConnectionTimeout(PATIENCE);
        return new HikariDataSource(config);
    }

    private static DataSource tomcat(String url) {
        PoolProperties properties = new PoolProperties();
        properties.setDriverClassName("org.postgresql.Driver");
        properties.setUrl(url);
        properties.setUsername("postgres");
        properties.setInitialSize(0);
        properties.setMaxActive(CONNECTIONS);
        properties.setMaxWait(PATIENCE);
        return new org.apache.tomcat.jdbc.pool.DataSource(properties);
    }

    // Gives the process that serves a connection, once all connections are in use.
    private static int use(DataSource pool, CyclicBarrier all) throws Exception {
        try (Connection connection = pool.getConnection()) {
            all.await();
            ResultSet row = connection.createStatement().executeQuery("SELECT pg_backend_pid()");
            row.next();
            int server = row.getInt(1);
            all.await();
            return server;
        }
    }
}
