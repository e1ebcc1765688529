#pragma once
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <string.h>

// The buffers a TLS session reads from and writes to; one per worker thread, shared by its sessions in turn.
struct zt_channel {
    const unsigned char *in;
    size_t in_length;
    unsigned char *out;
    size_t out_length;
    size_t out_capacity;
};

static int zt_bio_read(BIO *bio, char *to, size_t count, size_t *taken) {
    struct zt_channel *channel = (struct zt_channel *)BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (channel->in_length == 0) {
        BIO_set_retry_read(bio);
        *taken = 0;
        return 0;
    }
    if (count > channel->in_length) count = channel->in_length;
    memcpy(to, channel->in, count);
    channel->in += count;
    channel->in_length -= count;
    *taken = count;
    return 1;
}

static int zt_bio_write(BIO *bio, const char *from, size_t count, size_t *taken) {
    struct zt_channel *channel = (struct zt_channel *)BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (count > channel->out_capacity - channel->out_length) {
        BIO_set_retry_write(bio);
        *taken = 0;
        return 0;
    }
    memcpy(channel->out + channel->out_length, from, count);
    channel->out_length += count;
    *taken = count;
    return 1;
}

static long zt_bio_control(BIO *bio, int command, long number, void *pointer) {
    (void)bio, (void)number, (void)pointer;
    return command == BIO_CTRL_FLUSH || command == BIO_CTRL_DUP ? 1 : 0;
}

static int zt_bio_create(BIO *bio) {
    BIO_set_init(bio, 1);
    return 1;
}

// The BIO method of every session; made once, NULL when out of memory.
static inline BIO_METHOD *zt_bio_method(void) {
    BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "ztun channel");
    if (!method) return NULL;
    BIO_meth_set_read_ex(method, zt_bio_read);
    BIO_meth_set_write_ex(method, zt_bio_write);
    BIO_meth_set_ctrl(method, zt_bio_control);
    BIO_meth_set_create(method, zt_bio_create);
    return method;
}

static inline int zt_ctx_set_tls13_only(SSL_CTX *ctx) {
    return SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) && SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION);
}
static inline int zt_ctx_set_tls12_up(SSL_CTX *ctx) { return (int)SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION); }
// The name a client asks for (SNI).
static inline int zt_ssl_set_server_name(SSL *ssl, const char *name) { return (int)SSL_set_tlsext_host_name(ssl, name); }
static inline void zt_ctx_set_modes(SSL_CTX *ctx) {
    SSL_CTX_set_mode(ctx, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_num_tickets(ctx, 0);
    SSL_CTX_set_max_early_data(ctx, 0);
}
// The chain from the library's roots for a session's certificate, the root left out: borrowed, NULL when there is none.
static inline STACK_OF(X509) *zt_ssl_build_chain(SSL *ssl) {
    STACK_OF(X509) *chain = NULL;
    int flags = SSL_BUILD_CHAIN_FLAG_NO_ROOT | SSL_BUILD_CHAIN_FLAG_IGNORE_ERROR | SSL_BUILD_CHAIN_FLAG_CLEAR_ERROR;
    return SSL_build_cert_chain(ssl, flags) > 0 && SSL_get0_chain_certs(ssl, &chain) ? chain : NULL;
}
static inline int zt_ctx_set_groups(SSL_CTX *ctx, const char *list) { return (int)SSL_CTX_set1_groups_list(ctx, list); }
static inline int zt_ctx_add_chain(SSL_CTX *ctx, X509 *certificate) { return (int)SSL_CTX_add0_chain_cert(ctx, certificate); }

static int zt_select_h2(SSL *ssl, const unsigned char **out, unsigned char *out_length, const unsigned char *in,
                        unsigned in_length, void *context) {
    (void)ssl, (void)context;
    for (unsigned i = 0; i < in_length; i += 1u + in[i]) {
        if (in[i] == 2 && i + 3 <= in_length && in[i + 1] == 'h' && in[i + 2] == '2') {
            *out = in + i + 1;
            *out_length = 2;
            return SSL_TLSEXT_ERR_OK;
        }
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}
static inline void zt_ctx_require_h2(SSL_CTX *ctx) { SSL_CTX_set_alpn_select_cb(ctx, zt_select_h2, NULL); }

// The n-th URI among the subject alternative names: bytes borrowed from names. -1 behind the last.
static inline int zt_uri_name(const GENERAL_NAMES *names, int n, const unsigned char **bytes) {
    int seen = 0;
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_URI || seen++ != n) continue;
        *bytes = ASN1_STRING_get0_data(name->d.uniformResourceIdentifier);
        return ASN1_STRING_length(name->d.uniformResourceIdentifier);
    }
    return -1;
}
static inline BIO *zt_bio_of_bytes(const void *bytes, int count) { return BIO_new_mem_buf(bytes, count); }

// Certificates: macros and variadics that Swift cannot call.
static inline EVP_PKEY *zt_p256_generate(void) { return EVP_EC_gen("P-256"); }
static inline int zt_names_push_uri(GENERAL_NAMES *names, const char *uri, int length) {
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_IA5STRING *text = ASN1_IA5STRING_new();
    if (!name || !text || !ASN1_STRING_set(text, uri, length)) goto failed;
    GENERAL_NAME_set0_value(name, GEN_URI, text);
    text = NULL;
    if (sk_GENERAL_NAME_push(names, name)) return 1;
failed:
    ASN1_IA5STRING_free(text);
    GENERAL_NAME_free(name);
    return 0;
}
static inline int zt_x509_add_extension(X509 *certificate, X509 *issuer, int nid, const char *value) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    int done = extension && X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
    return done;
}
// How many subject alternative names are not URIs.
static inline int zt_names_not_uri(const GENERAL_NAMES *names) {
    int count = 0;
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) count += sk_GENERAL_NAME_value(names, i)->type != GEN_URI;
    return count;
}
static inline long zt_bio_memory(BIO *bio, const unsigned char **bytes) { return BIO_get_mem_data(bio, (char **)bytes); }
static inline STACK_OF(X509) *zt_x509s_new(void) { return sk_X509_new_null(); }
static inline int zt_x509s_push(STACK_OF(X509) *stack, X509 *certificate) { return sk_X509_push(stack, certificate); }
// Frees the stack only; the certificates stay their owners'.
static inline void zt_x509s_free(STACK_OF(X509) *stack) { sk_X509_free(stack); }
static inline void zt_x509s_free_all(STACK_OF(X509) *stack) { sk_X509_pop_free(stack, X509_free); }
// The text of the first error of this thread's queue, which is then empty.
static inline void zt_error_text(char *text, size_t capacity) {
    unsigned long code = ERR_get_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;
    BIO_snprintf(text, capacity, "%s", reason ? reason : "unknown error");
    ERR_clear_error();
}
static inline int zt_print_name(BIO *bio, const X509_NAME *name) {
    return X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) >= 0;
}
#include <openssl/rand.h>

// Revocation lists and chains: stacks that Swift cannot see.
static inline int zt_crl_revoked_count(X509_CRL *crl) { return sk_X509_REVOKED_num(X509_CRL_get_REVOKED(crl)); }
static inline int zt_x509s_count(const STACK_OF(X509) *stack) { return sk_X509_num(stack); }
static inline X509 *zt_x509s_at(const STACK_OF(X509) *stack, int index) { return sk_X509_value(stack, index); }
// A positive integer of big-endian bytes; NULL when out of memory.
static inline ASN1_INTEGER *zt_integer(const unsigned char *bytes, int length) {
    ASN1_INTEGER *integer = ASN1_INTEGER_new();
    if (integer && !ASN1_STRING_set(integer, bytes, length)) {
        ASN1_INTEGER_free(integer);
        integer = NULL;
    }
    return integer;
}
// The chain's verification is the owner's: it gets the session's tag and says 1 (good) or 0 (refused, error set).
typedef int (*zt_verify)(void *session, X509_STORE_CTX *chain);
static int zt_verify_chain(X509_STORE_CTX *chain, void *verify) {
    SSL *ssl = X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx());
    void *session = ssl ? SSL_get_app_data(ssl) : NULL;
    return session ? ((zt_verify)verify)(session, chain) : 0;
}
static inline void zt_ctx_set_verify(SSL_CTX *ctx, zt_verify verify) {
    SSL_CTX_set_cert_verify_callback(ctx, zt_verify_chain, (void *)verify);
}
static inline void zt_ssl_set_session(SSL *ssl, void *session) { SSL_set_app_data(ssl, session); }
// The name of the group the handshake agreed on; NULL when there is none.
static inline const char *zt_group_name(SSL *ssl) {
    long group = SSL_get_negotiated_group(ssl);
    return group > 0 ? SSL_group_to_name(ssl, (int)group) : NULL;
}
// At least 112 bits everywhere in a chain, whatever the library was built with.
static inline void zt_ctx_set_security(SSL_CTX *ctx) { SSL_CTX_set_security_level(ctx, 2); }
static inline void *zt_ssl_session(const SSL *ssl) { return SSL_get_app_data(ssl); }
static inline int zt_ssl_update_keys(SSL *ssl) { return SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED); }

// Record protection of TLS 1.3 (RFC 8446 5): keys from traffic secrets, one cipher context for each direction.
#include <openssl/hmac.h>
#define ZT_TAG 16
struct zt_secret {
    unsigned char bytes[48];
    size_t count;
};
static inline void zt_keylog(SSL_CTX *ctx, void (*callback)(const SSL *, const char *)) {
    SSL_CTX_set_keylog_callback(ctx, callback);
}
// HKDF-Expand-Label without context, for no more than one block of the hash.
static inline int zt_expand(const EVP_MD *hash, const struct zt_secret *secret, const char *label, unsigned char *out, size_t count) {
    unsigned char info[64], block[EVP_MAX_MD_SIZE];
    size_t length = strlen(label);
    unsigned size = 0;
    if (length > 40 || count > 48) return 0;
    info[0] = 0, info[1] = (unsigned char)count, info[2] = (unsigned char)(6 + length);
    memcpy(info + 3, "tls13 ", 6);
    memcpy(info + 9, label, length);
    info[9 + length] = 0, info[10 + length] = 1;
    int done = HMAC(hash, secret->bytes, (int)secret->count, info, 11 + length, block, &size) && size >= count;
    if (done) memcpy(out, block, count);
    OPENSSL_cleanse(block, sizeof block);
    return done;
}
static inline EVP_CIPHER_CTX *zt_aead_new(const EVP_CIPHER *cipher, const unsigned char *key, int seals) {
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    if (context && EVP_CipherInit_ex(context, cipher, NULL, key, NULL, seals) == 1) return context;
    EVP_CIPHER_CTX_free(context);
    return NULL;
}
static inline void zt_nonce(unsigned char *nonce, const unsigned char *iv, uint64_t sequence) {
    memcpy(nonce, iv, 12);
    for (int i = 0; i < 8; i++) nonce[11 - i] ^= (unsigned char)(sequence >> (8 * i));
}
// Writes the ciphertext of the bytes and of the content type behind them, then the tag: count + 1 + ZT_TAG bytes.
static inline int zt_seal(EVP_CIPHER_CTX *context, const unsigned char *iv, uint64_t sequence, const unsigned char *header,
                          const void *bytes, int count, unsigned char type, unsigned char *out) {
    unsigned char nonce[12];
    int n;
    zt_nonce(nonce, iv, sequence);
    return EVP_EncryptInit_ex(context, NULL, NULL, NULL, nonce) == 1 && EVP_EncryptUpdate(context, NULL, &n, header, 5) == 1 &&
           (count == 0 || EVP_EncryptUpdate(context, out, &n, (const unsigned char *)bytes, count) == 1) &&
           EVP_EncryptUpdate(context, out + count, &n, &type, 1) == 1 &&
           EVP_EncryptFinal_ex(context, out + count + 1, &n) == 1 &&
           EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, ZT_TAG, out + count + 1) == 1;
}
// The reverse; count is what is behind the header. 1 when the tag is right: only then is the output anything.
static inline int zt_open(EVP_CIPHER_CTX *context, const unsigned char *iv, uint64_t sequence, const unsigned char *header,
                          const unsigned char *bytes, int count, unsigned char *out) {
    unsigned char nonce[12], tag[ZT_TAG];
    int n;
    zt_nonce(nonce, iv, sequence);
    memcpy(tag, bytes + count - ZT_TAG, ZT_TAG);
    return EVP_DecryptInit_ex(context, NULL, NULL, NULL, nonce) == 1 && EVP_DecryptUpdate(context, NULL, &n, header, 5) == 1 &&
           EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, ZT_TAG, tag) == 1 &&
           EVP_DecryptUpdate(context, out, &n, bytes, count - ZT_TAG) == 1 &&
           EVP_DecryptFinal_ex(context, out + count - ZT_TAG, &n) == 1;
}
