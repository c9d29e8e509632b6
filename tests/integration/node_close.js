// Node's ssh2 writing and closing through a front door, without an end before.
// usage: node node_close.js PORT LOGIN KEY HOST:PORT BYTES
const [port, login, key, target, size] = process.argv.slice(2);
const { Client } = require('ssh2');
const fs = require('fs');

const [host, targetPort] = target.split(':');
const client = new Client();
client.on('ready', () => {
  client.forwardOut('127.0.0.1', 1, host, Number(targetPort), (error, stream) => {
    if (error) throw error;
    stream.resume();
    stream.on('close', () => {
      console.log('closed');
      client.end();
    });
    stream.write(Buffer.alloc(Number(size)), () => stream.close());
  });
});
client.connect({
  host: '127.0.0.1', port: Number(port), username: login, privateKey: fs.readFileSync(key),
});
