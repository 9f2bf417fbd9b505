// An OAuth server that this project did not write: the npm package
// oidc-provider, with its own pages for signing in.
//
//     node server.mjs '{"clients": [...], "port": 0}'
//
// Prints its issuer when it listens.

import http from 'node:http';
import Provider from 'oidc-provider';

const options = JSON.parse(process.argv[2]);
const SCOPES = ['openid', 'offline_access', 'smtp'];

const configuration = {
  clients: options.clients,
  scopes: SCOPES,
  claims: { openid: ['sub', 'preferred_username'] },
  // Claims of a scope in the id_token, as Microsoft has them.
  conformIdTokenClaims: false,
  clientDefaults: { id_token_signed_response_alg: 'RS256' },
  cookies: { keys: ['tests'] },
  features: {
    clientCredentials: { enabled: true },
    deviceFlow: { enabled: true },
    introspection: { enabled: true, allowedPolicy: () => true },
  },
  enabledJWA: { clientAuthSigningAlgValues: ['PS256', 'RS256'] },
  // Native clients get one without prompt=consent.
  issueRefreshToken: async (ctx, client) =>
    client.grantTypeAllowed('refresh_token'),
  // Who signs in is whatever name is typed.
  findAccount: async (ctx, id) => ({
    accountId: id,
    claims: async () => ({ sub: id, preferred_username: id }),
  }),
  ttl: { AccessToken: 3600, ClientCredentials: 3600, DeviceCode: 300 },
};

const server = http.createServer();
server.listen(options.port, 'localhost', () => {
  const issuer = `http://localhost:${server.address().port}`;
  const provider = new Provider(issuer, configuration);

  provider.on('server_error', (ctx, error) => console.error(error));
  provider.on('grant.error', (ctx, error) => console.error(error));
  server.on('request', provider.callback());
  console.log(issuer);
});
process.on('SIGTERM', () => process.exit(0));
