"""Errors of Entra ID's token endpoint, as they look on the wire."""

import json
import time
import uuid

# AADSTS number: HTTP status, `error`, text
_ERRORS = {
    7000215: (401, "invalid_client",
              "Invalid client secret provided. Ensure the secret being sent in "
              "the request is the client secret value, not the client secret "
              "ID, for a secret added to app '{client_id}'."),
    7000222: (401, "invalid_client",
              "The provided client secret keys for app '{client_id}' are "
              "expired. Visit the Azure portal to create new keys for your "
              "app."),
    7000218: (401, "invalid_client",
              "The request body must contain the following parameter: "
              "'client_assertion' or 'client_secret'."),
    700027: (401, "invalid_client",
             "The certificate with identifier used to sign the client "
             "assertion is not registered on application, or the signature "
             "failed verification. Reason: {detail}."),
    700024: (401, "invalid_client",
             "Client assertion is not within its valid time range."),
    700021: (401, "invalid_client",
             "Client assertion application identifier doesn't match "
             "'client_id' parameter."),
    700023: (401, "invalid_client",
             "Client assertion audience claim does not match Realm issuer."),
    7000277: (401, "invalid_client",
              "Client assertion has been used before."),
    700016: (400, "unauthorized_client",
             "Application with identifier '{client_id}' was not found in the "
             "directory."),
    7000112: (400, "unauthorized_client",
              "Application '{client_id}' is disabled."),
    90002: (400, "invalid_request",
            "Tenant not found. Check to make sure you have the correct tenant "
            "ID and are signing into the correct cloud."),
    900144: (400, "invalid_request",
             "The request body must contain the following parameter: "
             "'{detail}'."),
    70003: (400, "unsupported_grant_type",
            "The app requested an unsupported grant type."),
    70011: (400, "invalid_scope",
            "The provided request must include a 'scope' input parameter. The "
            "provided value for the input parameter 'scope' is not valid."),
    1002012: (400, "invalid_scope",
              "The provided value for scope is not valid. Client credential "
              "flows must have a scope value with /.default suffixed to the "
              "resource identifier (application ID URI)."),
    500011: (400, "invalid_resource",
             "The resource principal was not found in the tenant."),
    90033: (503, "temporarily_unavailable",
            "A transient error has occurred. Please try again."),
    90055: (429, "temporarily_unavailable",
            "The tenant is throttled. Please retry later."),
    50196: (400, "invalid_grant",
            "The server terminated an operation because it encountered a "
            "client request loop."),
    70008: (400, "invalid_grant",
            "The refresh token has expired due to inactivity."),
    50173: (400, "invalid_grant",
            "The provided grant has expired due to it being revoked."),
    50076: (400, "interaction_required",
            "You must use multi-factor authentication to access the "
            "resource."),
    700025: (401, "invalid_client",
             "Client is public so neither 'client_assertion' nor "
             "'client_secret' should be presented."),
    50011: (400, "invalid_request",
            "The redirect URI specified in the request does not match the "
            "redirect URIs configured for the application '{client_id}'."),
    9002325: (400, "invalid_request",
              "Proof Key for Code Exchange is required for cross-origin "
              "authorization code redemption."),
    54005: (400, "invalid_grant",
            "OAuth2 Authorization code was already redeemed, please retry with "
            "a new valid code or use an existing refresh token."),
    501481: (400, "invalid_grant",
             "The Code_Verifier does not match the code_challenge supplied in "
             "the authorization request."),
    70016: (400, "authorization_pending",
            "OAuth 2.0 device flow error. Authorization is pending. Continue "
            "polling."),
    70017: (400, "slow_down",
            "The device polls too often. Poll at a longer interval."),
    70018: (400, "bad_verification_code",
            "Invalid verification code."),
    70019: (400, "expired_token",
            "Verification code expired."),
    70020: (400, "authorization_declined",
            "The end user denied the authorization request."),
    700211: (401, "invalid_client",
             "No matching federated identity record found for presented "
             "assertion issuer."),
    700213: (401, "invalid_client",
             "No matching federated identity record found for presented "
             "assertion subject."),
    700212: (401, "invalid_client",
             "No matching federated identity record found for presented "
             "assertion audience."),
}


class Refusal(Exception):
    """What a provider refuses a request with: `status`, and body()."""

    status = 400

    def body(self):
        """The answer's body, JSON."""
        raise NotImplementedError


class EntraError(Refusal):
    """A refusal: HTTP status, AADSTS number and the JSON body."""

    def __init__(self, code, client_id="", detail=""):
        self.code = code
        self.status, self.error, text = _ERRORS[code]
        self._text = text.format(client_id=client_id, detail=detail)
        super().__init__(f"AADSTS{code}")

    def body(self):
        """The answer's body; trace and correlation are new each time."""
        trace_id, correlation_id = str(uuid.uuid4()), str(uuid.uuid4())
        timestamp = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime())
        description = (
            f"AADSTS{self.code}: {self._text} Trace ID: {trace_id} "
            f"Correlation ID: {correlation_id} Timestamp: {timestamp}")
        return json.dumps({
            "error": self.error,
            "error_description": description,
            "error_codes": [self.code],
            "timestamp": timestamp,
            "trace_id": trace_id,
            "correlation_id": correlation_id,
            "error_uri":
                f"https://login.microsoftonline.com/error?code={self.code}",
        }).encode("utf-8")
