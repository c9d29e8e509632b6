// Node's ssh2 moving data through a front door.
// usage: node node_client.js PORT key|token SECRET BYTES
const [port, method, secret, size] = process.argv.slice(2);
const { Client } = require('ssh2');
const crypto = require('crypto');
const fs = require('fs');

const payload = crypto.randomBytes(Number(size));
const client = new Client();
client.on('ready', () => {
  client.forwardOut('127.0.0.1', 1, 'echo', 7, (error, stream) => {
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
client.connect({
  host: '127.0.0.1',
  port: Number(port),
  username: 'alice',
  ...(method === 'key' ? { privateKey: fs.readFileSync(secret) } : { password: secret }),
});
