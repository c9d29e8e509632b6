// Node's ssh2 moving data through a front door.
// usage: node node_client.js PORT LOGIN key|token SECRET HOST:PORT BYTES
const [port, login, method, secret, target, size] = process.argv.slice(2);
const { Client } = require(process.env.SSH2 || 'ssh2');
const crypto = require('crypto');
const fs = require('fs');
const path = require('path');

const payload = crypto.randomBytes(Number(size));
const [host, targetPort] = target.split(':');
const client = new Client();
client.on('ready', () => {
  client.forwardOut('127.0.0.1', 1, host, Number(targetPort), (error, stream) => {
    if (error) throw error;
    const received = [];
    stream.on('data', (data) => received.push(data));
    stream.on('close', () => {
      console.log(Buffer.concat(received).equals(payload) ? 'whole' : 'differs');
      client.end();
    });
    stream.end(payload);
  });
});

// With a token, also what a user's machine has: the default key file, then the agent.
const own = path.join(process.env.HOME, '.ssh', 'id_ed25519');
const found = method === 'token' && fs.existsSync(own) ? { privateKey: fs.readFileSync(own) } : {};
client.connect({
  host: '127.0.0.1',
  port: Number(port),
  username: login,
  ...(method === 'key'
    ? { privateKey: fs.readFileSync(secret) }
    : { ...found, agent: process.env.SSH_AUTH_SOCK, password: secret,
        authHandler: ['none', ...(found.privateKey ? ['publickey'] : []), 'agent', 'password'] }),
});
