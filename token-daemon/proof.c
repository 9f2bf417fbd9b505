/*
 * proof - what shows a token endpoint who is asking: read, and signed, anew.
 *
 * What has to be read is in slots, which are read one after the other. When
 * all are read there is a proof, or one to be signed.
 */
#include "token-daemon/proof.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "common/buf.h"
#include "token-daemon/assertion.h"
#include "token-daemon/secret_source.h"
#include "token-daemon/service_account.h"
#include "token-daemon/signer.h"

#define USER_LIFETIME 3600 /* s: the most that Google takes */

enum slot_kind {
    SLOT_TEXT, /* client secret, federated token, or a service account's key */
    SLOT_CERTIFICATE,
    SLOT_KEY,
    SLOT_PASSPHRASE,
    SLOT_COUNT,
};

struct slot {
    const char *option; /* its name; NULL: the reference says enough */
    const struct config_ref *ref; /* NULL: not needed */
    struct buf text;
};

struct proof {
    struct event_base *base;
    struct signer *signer;
    struct proof_request request;
    proof_done_fn *done;
    void *arg;
    struct slot slots[SLOT_COUNT];
    size_t next; /* slot to be read */
    struct service_account account;

    /* At most one of these three is pending. */
    struct event *begin;
    struct secret_source *source;
    struct signer_job *job;
};

static void
free_proof(struct proof *proof)
{
    if (proof->begin != NULL)
        event_free(proof->begin);
    secret_source_cancel(&proof->source);
    signer_cancel(&proof->job);
    for (size_t i = 0; i < SLOT_COUNT; i++)
        buf_clear(&proof->slots[i].text);
    service_account_clear(&proof->account);
    free(proof);
}

static void
finish(struct proof *proof, const struct proof_result *result)
{
    proof->done(result, proof->arg);
    free_proof(proof);
}

/* A file of ours is to blame: say which option of whose. */
static void
fail(struct proof *proof, const char *option, const struct err *cause)
{
    struct proof_result result = {.err = *cause};

    if (option != NULL)
        (void)err_set(&result.err, cause->code, "%s of credential \"%s\": %s",
                      option, proof->request.credential->name, cause->text);
    finish(proof, &result);
}

static void
fail_out_of_memory(struct proof *proof)
{
    struct err err = {ERR_NONE, ""};

    (void)err_set(&err, ERR_SYSTEM, "out of memory");
    fail(proof, NULL, &err);
}

/* ---- Signing ------------------------------------------------------------- */

/* The text of a slot, or NULL. */
static const char *
text_of(const struct proof *proof, enum slot_kind kind)
{
    const struct slot *slot = &proof->slots[kind];

    return slot->text.len > 0 ? buf_str(&slot->text) : NULL;
}

static bool
is_by_certificate(const struct proof *proof)
{
    return proof->slots[SLOT_CERTIFICATE].ref != NULL;
}

static const char *
signing_option(const struct proof *proof)
{
    if (is_by_certificate(proof))
        return "certificate";
    return proof->account.address != NULL ? "service_account_key"
                                          : "private_key";
}

static void
on_signed(const struct signer_result *signature, void *arg)
{
    struct proof *proof = arg;
    struct proof_result result = {.not_after = signature->not_after};

    proof->job = NULL;
    if (signature->assertion == NULL) {
        struct err err = signature->err;

        /* That the token denies it is the administrator's to mend. */
        if (err.code == ERR_DENIED)
            err.code = ERR_CONFIG;
        fail(proof, signing_option(proof), &err);
        return;
    }
    if (proof->request.kind == GRANT_PROOF_ACCOUNT)
        result.user_assertion = signature->assertion;
    else
        result.assertion = signature->assertion;
    finish(proof, &result);
}

/* The certificate's file may hold the key, too. */
static void
fill_material(const struct proof *proof, struct signer_order *order)
{
    const struct config_ref *key = &proof->request.credential->private_key;
    struct assertion_material *material = &order->material;

    material->certificate = text_of(proof, SLOT_CERTIFICATE);
    material->certificate_len = proof->slots[SLOT_CERTIFICATE].text.len;
    if (key->kind == CONFIG_REF_PKCS11) {
        order->uri = key->written;
        order->pin = text_of(proof, SLOT_PASSPHRASE);
        return;
    }
    material->passphrase = text_of(proof, SLOT_PASSPHRASE);
    if (key->kind != CONFIG_REF_NONE) {
        material->private_key = text_of(proof, SLOT_KEY);
        material->private_key_len = proof->slots[SLOT_KEY].text.len;
    } else {
        material->private_key = material->certificate;
        material->private_key_len = material->certificate_len;
    }
}

static void
sign(struct proof *proof, const struct signer_order *order)
{
    proof->job = signer_sign(proof->signer, order, on_signed, proof);
    if (proof->job == NULL)
        fail_out_of_memory(proof);
}

static void
sign_for_client(struct proof *proof)
{
    const struct config_credential *credential = proof->request.credential;
    char id[ASSERTION_ID_SIZE];
    struct signer_order order = {
        .algorithm = credential->assertion_algorithm,
        .claims =
            {
                .audience = proof->request.audience,
                .issuer = credential->client_id,
                .subject = credential->client_id,
                .id = id,
                .now = proof->request.now,
                .lifetime = ASSERTION_LIFETIME,
            },
    };
    struct err err = {ERR_NONE, ""};

    fill_material(proof, &order);
    if (assertion_new_id(id, &err) < 0)
        fail(proof, NULL, &err);
    else
        sign(proof, &order);
}

static void
sign_for_user(struct proof *proof)
{
    const struct config_credential *credential = proof->request.credential;
    const struct service_account *account = &proof->account;
    struct signer_order order = {
        .algorithm = CONFIG_ASSERTION_RS256, /* all that Google takes */
        .claims =
            {
                .audience = proof->request.audience,
                .issuer = credential->client_id,
                .subject = proof->request.user,
                .scope = proof->request.scope,
                .now = proof->request.now,
                .lifetime = USER_LIFETIME,
            },
    };

    if (account->private_key != NULL) {
        order.material.private_key = account->private_key;
        order.material.private_key_len = strlen(account->private_key);
        order.claims.issuer = account->address;
        order.claims.key_id = account->key_id;
    } else {
        fill_material(proof, &order);
    }
    sign(proof, &order);
}

/* ---- Reading ------------------------------------------------------------- */

/* Everything is there. */
static void
conclude(struct proof *proof)
{
    const struct config_credential *credential = proof->request.credential;
    struct proof_result result = {.secret = NULL};
    struct err err = {ERR_NONE, ""};
    const char *text = text_of(proof, SLOT_TEXT);

    switch (proof->request.kind) {
    case GRANT_PROOF_SECRET:
    case GRANT_PROOF_OPTIONAL:
        if (is_by_certificate(proof)) {
            sign_for_client(proof);
            return;
        }
        result.secret = text;
        break;
    case GRANT_PROOF_FEDERATED:
        result.assertion = text;
        break;
    case GRANT_PROOF_ACCOUNT:
        if (credential->service_account_key.kind == CONFIG_REF_NONE ||
            service_account_parse(text, strlen(text), &proof->account, &err) ==
                0)
            sign_for_user(proof);
        else
            fail(proof, "service_account_key", &err);
        return;
    case GRANT_PROOF_MACHINE:
        break;
    }
    finish(proof, &result);
}

/* Reading a slot ends in reading the next. */
static void read_next(struct proof *proof);

static void
on_read(const char *secret, size_t len, const struct err *err, void *arg)
{
    struct proof *proof = arg;
    struct slot *slot = &proof->slots[proof->next];

    proof->source = NULL;
    if (secret == NULL) {
        fail(proof, slot->option, err);
        return;
    }
    buf_append(&slot->text, secret, len);
    if (buf_failed(&slot->text)) {
        fail_out_of_memory(proof);
        return;
    }
    proof->next++;
    read_next(proof);
}

static void
read_next(struct proof *proof)
{
    while (proof->next < SLOT_COUNT && proof->slots[proof->next].ref == NULL)
        proof->next++;
    if (proof->next == SLOT_COUNT) {
        conclude(proof);
        return;
    }
    proof->source =
        secret_source_read(proof->base, proof->slots[proof->next].ref,
                           SECRET_SOURCE_LIMIT_MS, on_read, proof);
    if (proof->source == NULL)
        fail_out_of_memory(proof);
}

static void
on_begin(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    read_next(arg);
}

/* ---- What is needed ------------------------------------------------------ */

static void
need(struct proof *proof, enum slot_kind kind, const char *option,
     const struct config_ref *ref)
{
    if (ref->kind == CONFIG_REF_NONE || ref->kind == CONFIG_REF_PKCS11)
        return;
    proof->slots[kind].option = option;
    proof->slots[kind].ref = ref;
}

static void
need_key(struct proof *proof)
{
    const struct config_credential *credential = proof->request.credential;

    need(proof, SLOT_KEY, "private_key", &credential->private_key);
    need(proof, SLOT_PASSPHRASE, "passphrase", &credential->passphrase);
}

static void
need_client_proof(struct proof *proof)
{
    const struct config_credential *credential = proof->request.credential;

    if (credential->certificate.kind != CONFIG_REF_NONE) {
        need(proof, SLOT_CERTIFICATE, "certificate", &credential->certificate);
        need_key(proof);
    } else if (proof->request.secret_index < credential->client_secret_count) {
        need(proof, SLOT_TEXT, NULL,
             &credential->client_secrets[proof->request.secret_index]);
    }
}

static void
need_slots(struct proof *proof)
{
    const struct config_credential *credential = proof->request.credential;

    switch (proof->request.kind) {
    case GRANT_PROOF_SECRET:
    case GRANT_PROOF_OPTIONAL:
        need_client_proof(proof);
        break;
    case GRANT_PROOF_FEDERATED:
        need(proof, SLOT_TEXT, "federated_token", &credential->federated_token);
        break;
    case GRANT_PROOF_ACCOUNT:
        if (credential->service_account_key.kind != CONFIG_REF_NONE)
            need(proof, SLOT_TEXT, "service_account_key",
                 &credential->service_account_key);
        else
            need_key(proof);
        break;
    case GRANT_PROOF_MACHINE:
        break;
    }
}

struct proof *
proof_start(struct event_base *base, struct signer *signer,
            const struct proof_request *request, proof_done_fn *done, void *arg)
{
    struct proof *proof = calloc(1, sizeof(*proof));

    if (proof == NULL)
        return NULL;
    proof->base = base;
    proof->signer = signer;
    proof->request = *request;
    proof->done = done;
    proof->arg = arg;
    for (size_t i = 0; i < SLOT_COUNT; i++)
        buf_init(&proof->slots[i].text, SECRET_SOURCE_MAX);
    need_slots(proof);
    proof->begin = event_new(base, -1, 0, on_begin, proof);
    if (proof->begin == NULL) {
        free_proof(proof);
        return NULL;
    }
    event_active(proof->begin, EV_TIMEOUT, 0);
    return proof;
}

void
proof_cancel(struct proof **proof)
{
    if (*proof == NULL)
        return;
    free_proof(*proof);
    *proof = NULL;
}
