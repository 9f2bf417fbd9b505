/*
 * proof - what shows a token endpoint who is asking: read, and signed, anew.
 *
 * What its key is made of is read first, unless it is given. Then there is a
 * proof, or one to be signed.
 */
#include "token-daemon/proof.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "token-daemon/assertion.h"
#include "token-daemon/graph_message.h"
#include "token-daemon/key_reader.h"
#include "token-daemon/service_account.h"
#include "token-daemon/signer.h"

#define USER_LIFETIME 3600 /* s: the most that Google takes */

struct proof {
    struct event_base *base;
    struct signer *signer;
    struct proof_request request;
    proof_done_fn *done;
    void *arg;
    struct key *key;               /* references; NULL: none */
    struct key_material *material; /* NULL: to be read, or nothing */
    struct service_account account;

    /* At most one of these three is pending. */
    struct event *begin;
    struct key_reader *reader;
    struct signer_job *job;
};

static void
free_proof(struct proof *proof)
{
    if (proof->begin != NULL)
        event_free(proof->begin);
    key_reader_cancel(&proof->reader);
    signer_cancel(&proof->job);
    service_account_clear(&proof->account);
    key_material_unref(&proof->material);
    key_unref(&proof->key);
    free(proof);
}

static void
finish(struct proof *proof, struct proof_result *result)
{
    result->material = proof->material;
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

/* The text of a part, or NULL. */
static const char *
text_of(const struct proof *proof, enum key_part part)
{
    return proof->material != NULL ? proof->material->texts[part] : NULL;
}

static size_t
len_of(const struct proof *proof, enum key_part part)
{
    return proof->material != NULL ? proof->material->lens[part] : 0;
}

static bool
is_by_certificate(const struct proof *proof)
{
    return proof->key != NULL && proof->key->kind == KEY_CERTIFICATE;
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
    struct proof_result result = {.not_after = signature->not_after,
                                  .thumbprint = signature->thumbprint};

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
    const struct key *key = proof->key;
    struct assertion_material *material = &order->material;

    material->certificate = text_of(proof, KEY_PART_CERTIFICATE);
    material->certificate_len = len_of(proof, KEY_PART_CERTIFICATE);
    if (key != NULL &&
        key->refs[KEY_PART_PRIVATE_KEY].kind == CONFIG_REF_PKCS11) {
        order->uri = key->refs[KEY_PART_PRIVATE_KEY].written;
        order->pin = text_of(proof, KEY_PART_PASSPHRASE);
        return;
    }
    material->passphrase = text_of(proof, KEY_PART_PASSPHRASE);
    material->private_key = text_of(proof, KEY_PART_PRIVATE_KEY);
    material->private_key_len = len_of(proof, KEY_PART_PRIVATE_KEY);
    if (material->private_key == NULL) {
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

/*
 * Of possession, for Microsoft Graph: no more claims than it documents, and the
 * algorithm of its examples, whatever the token endpoint takes.
 */
static void
sign_for_graph(struct proof *proof)
{
    struct signer_order order = {
        .algorithm = CONFIG_ASSERTION_RS256,
        .claims =
            {
                .audience = GRAPH_MESSAGE_AUDIENCE,
                .issuer = proof->request.graph_object,
                .now = proof->request.now,
                .lifetime = ASSERTION_LIFETIME,
            },
    };

    fill_material(proof, &order);
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
    struct proof_result result = {.secret = NULL};
    struct err err = {ERR_NONE, ""};
    const char *text = text_of(proof, KEY_PART_TEXT);

    switch (proof->request.kind) {
    case GRANT_PROOF_SECRET:
    case GRANT_PROOF_OPTIONAL:
        if (is_by_certificate(proof)) {
            if (proof->request.graph_object != NULL)
                sign_for_graph(proof);
            else
                sign_for_client(proof);
            return;
        }
        result.secret = text;
        break;
    case GRANT_PROOF_FEDERATED:
        result.assertion = text;
        break;
    case GRANT_PROOF_ACCOUNT:
        if (text == NULL || service_account_parse(text, strlen(text),
                                                  &proof->account, &err) == 0)
            sign_for_user(proof);
        else
            fail(proof, "service_account_key", &err);
        return;
    case GRANT_PROOF_MACHINE:
        break;
    }
    finish(proof, &result);
}

static void
on_read(struct key_material *material, const struct err *err, void *arg)
{
    struct proof *proof = arg;

    proof->reader = NULL;
    if (material == NULL) {
        fail(proof, NULL, err);
        return;
    }
    proof->material = key_material_ref(material);
    conclude(proof);
}

static void
on_begin(evutil_socket_t fd, short what, void *arg)
{
    struct proof *proof = arg;

    (void)fd;
    (void)what;
    if (proof->key == NULL || proof->material != NULL ||
        !key_is_read(proof->key)) {
        conclude(proof);
        return;
    }
    proof->reader =
        key_reader_start(proof->base, proof->key,
                         proof->request.credential->name, on_read, proof);
    if (proof->reader == NULL)
        fail_out_of_memory(proof);
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
    if (request->key != NULL) {
        struct key_material *material = request->material != NULL
                                            ? request->material
                                            : request->key->material;

        proof->key = key_ref(request->key);
        if (material != NULL)
            proof->material = key_material_ref(material);
    }
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
