// A real OpenID provider (npm oidc-provider) on loopback, for one client, with people who sign in by
// their names alone.  node openid_provider.mjs MODULES PORT REDIRECT_URI KEY_ID
import { createServer } from 'node:http';
import { generateKeyPairSync } from 'node:crypto';
import { pathToFileURL } from 'node:url';
import { join } from 'node:path';

const [modules, port, redirectUri, keyId] = process.argv.slice(2);
const entry = pathToFileURL(join(modules, 'oidc-provider', 'lib', 'index.js')).href;
const { default: Provider } = await import(entry);

const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const key = { ...privateKey.export({ format: 'jwk' }), kid: keyId, use: 'sig', alg: 'RS256' };

const issuer = `http://127.0.0.1:${port}`;
const provider = new Provider(issuer, {
  clients: [{
    client_id: 'tunnelcloud', client_secret: 'a secret/with:signs', redirect_uris: [redirectUri],
    grant_types: ['authorization_code'], response_types: ['code'],
  }],
  jwks: { keys: [key] },
  cookies: { keys: ['only for tests'] },
  pkce: { required: () => true },
  claims: {
    openid: ['sub', 'groups'], email: ['email', 'email_verified'],
    profile: ['name', 'preferred_username'],
  },
  features: { devInteractions: { enabled: false } },
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({
      sub: id, preferred_username: id, name: `${id} of Corp`, email: `${id}@corp.example`,
      email_verified: true, groups: ['db-admins'],
    }),
  }),
});

const form = `<!doctype html><html lang="en"><title>Corp</title><h1>Corp</h1>
<form method="post"><label>Who are you? <input name="who" required></label><button>That is me</button></form>`;

const interact = async (request, response) => {
  if (request.method !== 'POST') {
    response.setHeader('Content-Type', 'text/html').end(form);
    return;
  }
  let body = '';
  for await (const piece of request) body += piece;
  const accountId = new URLSearchParams(body).get('who');
  const { params } = await provider.interactionDetails(request, response);
  const grant = new provider.Grant({ accountId, clientId: params.client_id });
  grant.addOIDCScope('openid profile email');
  const grantId = await grant.save();
  await provider.interactionFinished(request, response, { login: { accountId }, consent: { grantId } });
};

const handle = provider.callback();
createServer((request, response) => {
  if (!request.url.startsWith('/interaction/')) handle(request, response);
  else interact(request, response).catch((error) => response.writeHead(500).end(String(error)));
}).listen(Number(port), '127.0.0.1', () => console.log('the provider is ready'));
