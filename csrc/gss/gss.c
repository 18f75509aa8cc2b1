/*
** gss.c: what base/gss.h promises, by MIT Kerberos; an empty promise without LM_GSSAPI.
**
** The name of the service is made without DNS: the library's own way (a host-based name, RFC 2743
** §4.1) looks the host up, forth and back, and whoever answers chooses whom we trust.
** Invariant: a context that is READY has proved the peer (mutual authentication) and guards the
** integrity of what is wrapped.
*/
#include "gss/gss.h"

#ifdef LM_GSSAPI

#include <gssapi/gssapi.h>
#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>
#include <krb5.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { WANTED = GSS_C_MUTUAL_FLAG | GSS_C_INTEG_FLAG, WORDS = 320 };

struct lm_gss {
  gss_ctx_id_t context;
  gss_name_t target;
  gss_cred_id_t credentials; /* only with a ccache of the user's */
  char *service, *host, *ccache;
  char why[WORDS];
  bool passes;
};

/* --- failures ----------------------------------------------------------------------------------- */

/* Appends to `why`, as much as fits. */
static void add(struct lm_gss *g, const char *words, size_t n) {
  size_t have = strlen(g->why), room = sizeof g->why - 1 - have;
  if (n > room) n = room;
  memcpy(g->why + have, words, n);
  g->why[have + n] = '\0';
}

static bool fail(struct lm_gss *g, const char *why) {
  g->why[0] = '\0';
  add(g, why, strlen(why));
  return false;
}

/* Appends the library's words for a code; `kind` says whose it is. */
static void add_code(struct lm_gss *g, const char *before, OM_uint32 code, int kind) {
  OM_uint32 minor, more = 0;
  gss_buffer_desc words = GSS_C_EMPTY_BUFFER;
  if (gss_display_status(&minor, code, kind, gss_mech_krb5, &more, &words) != GSS_S_COMPLETE) {
    return;
  }
  add(g, before, strlen(before));
  add(g, words.value, words.length);
  gss_release_buffer(&minor, &words);
}

/* The codes of Kerberos for a KDC that does not answer. */
static bool is_passing(OM_uint32 minor) {
  return minor == (OM_uint32)KRB5_KDC_UNREACH || minor == (OM_uint32)KRB5_REALM_CANT_RESOLVE;
}

/* "Unspecified GSS failure" says nothing that the second code does not say better. */
static bool failed(struct lm_gss *g, const char *doing, OM_uint32 major, OM_uint32 minor) {
  fail(g, doing);
  if (GSS_ROUTINE_ERROR(major) != GSS_S_FAILURE) add_code(g, ": ", major, GSS_C_GSS_CODE);
  if (minor) add_code(g, ": ", minor, GSS_C_MECH_CODE);
  g->passes = is_passing(minor);
  return false;
}

/* --- before the first token --------------------------------------------------------------------- */

/* A copy for the library, which knows only text that ends in NUL. Host names have no case, but
** principals have: the host's part is written small (RFC 4120 §6.2.1). */
static char *copy(struct lm_str s, bool is_host) {
  char *out = malloc(s.n + 1);
  size_t i;
  if (out == NULL) return NULL;
  for (i = 0; i < s.n; i++) {
    out[i] = s.p[i];
    if (is_host && out[i] >= 'A' && out[i] <= 'Z') out[i] = (char)(out[i] - 'A' + 'a');
  }
  out[s.n] = '\0';
  return out;
}

static void close_context(struct lm_gss *g) {
  OM_uint32 minor;
  if (g == NULL) return;
  if (g->context) gss_delete_sec_context(&minor, &g->context, GSS_C_NO_BUFFER);
  if (g->target) gss_release_name(&minor, &g->target);
  if (g->credentials) gss_release_cred(&minor, &g->credentials);
  free(g->service);
  free(g->host);
  free(g->ccache);
  free(g);
}

static struct lm_gss *open_context(const struct lm_gss_wish *wish) {
  struct lm_gss *g = calloc(1, sizeof *g);
  if (g == NULL) return NULL;
  g->service = copy(wish->service, false);
  g->host = copy(wish->host, true);
  g->ccache = copy(wish->ccache, false);
  if (g->service && g->host && g->ccache) return g;
  close_context(g);
  return NULL;
}

/* "imap/mail.example.org@REALM". The type says that the host's name is right as it is; the realm
** comes of krb5.conf, or the KDC knows it. */
static char *principal(struct lm_gss *g, krb5_context k) {
  krb5_principal who = NULL;
  char *text = NULL;
  if (krb5_sname_to_principal(k, g->host, g->service, KRB5_NT_UNKNOWN, &who) == 0 &&
      krb5_unparse_name(k, who, &text) != 0) {
    text = NULL;
  }
  krb5_free_principal(k, who);
  return text;
}

/* A configuration that cannot be read is the one failure without a context to ask for its words. */
static bool unconfigured(struct lm_gss *g, krb5_error_code code) {
  const char *words = krb5_get_error_message(NULL, code);
  fail(g, "no Kerberos: ");
  add(g, words, strlen(words));
  krb5_free_error_message(NULL, words);
  return false;
}

static bool import_target(struct lm_gss *g) {
  gss_buffer_desc name;
  OM_uint32 major, minor;
  krb5_context k;
  krb5_error_code code = krb5_init_context(&k);
  char *text;
  if (code != 0) return unconfigured(g, code);
  text = principal(g, k);
  if (text == NULL) {
    krb5_free_context(k);
    return fail(g, "Kerberos makes no name of the server's");
  }
  name.value = text;
  name.length = strlen(text);
  major = gss_import_name(&minor, &name, GSS_KRB5_NT_PRINCIPAL_NAME, &g->target);
  krb5_free_unparsed_name(k, text);
  krb5_free_context(k);
  return !GSS_ERROR(major) || failed(g, "the server's name", major, minor);
}

static bool take_credentials(struct lm_gss *g) {
  gss_key_value_element_desc where = {"ccache", g->ccache};
  gss_key_value_set_desc store = {1, &where};
  gss_OID_set_desc kerberos = {1, gss_mech_krb5};
  OM_uint32 major, minor;
  if (g->ccache[0] == '\0') return true; /* gss_init_sec_context finds the default by itself */
  major = gss_acquire_cred_from(&minor, GSS_C_NO_NAME, GSS_C_INDEFINITE, &kerberos, GSS_C_INITIATE,
                                &store, &g->credentials, NULL, NULL);
  return !GSS_ERROR(major) || failed(g, "no ticket", major, minor);
}

/* --- tokens ------------------------------------------------------------------------------------- */

/* The library's buffers are not const, but it leaves what it reads alone. */
static gss_buffer_desc lent(struct lm_str s) {
  gss_buffer_desc b;
  b.value = (void *)(uintptr_t)s.p;
  b.length = s.n;
  return b;
}

/* Appends what the library made, and gives that back. */
static bool take(struct lm_gss *g, gss_buffer_desc *made, struct lm_buf *out) {
  OM_uint32 minor;
  bool ok = made->length == 0 || lm_buf_put(out, made->value, made->length);
  gss_release_buffer(&minor, made);
  return ok || fail(g, "out of memory");
}

static enum lm_gss_answer step(struct lm_gss *g, struct lm_str token, struct lm_buf *out) {
  gss_buffer_desc in = lent(token), made = GSS_C_EMPTY_BUFFER;
  OM_uint32 major, minor, flags = 0;
  bool is_first = g->target == GSS_C_NO_NAME;
  if (is_first && (!import_target(g) || !take_credentials(g))) return LM_GSS_FAILED;
  major = gss_init_sec_context(&minor, g->credentials, &g->context, g->target, gss_mech_krb5,
                               WANTED | GSS_C_SEQUENCE_FLAG, 0, GSS_C_NO_CHANNEL_BINDINGS, &in,
                               NULL, &made, &flags, NULL);
  if (!take(g, &made, out)) return LM_GSS_FAILED;
  if (GSS_ERROR(major)) {
    failed(g, is_first ? "no ticket" : "the server's token", major, minor);
    return LM_GSS_FAILED;
  }
  if ((major & GSS_S_CONTINUE_NEEDED) != 0) return LM_GSS_MORE;
  if ((flags & WANTED) == WANTED) return LM_GSS_READY;
  fail(g, "the server has not proved itself");
  return LM_GSS_FAILED;
}

static bool unwrap(struct lm_gss *g, struct lm_str token, struct lm_buf *out) {
  gss_buffer_desc in = lent(token), made = GSS_C_EMPTY_BUFFER;
  OM_uint32 minor, major = gss_unwrap(&minor, g->context, &in, &made, NULL, NULL);
  if (GSS_ERROR(major)) return failed(g, "the server's token", major, minor);
  return take(g, &made, out);
}

static bool wrap(struct lm_gss *g, struct lm_str text, struct lm_buf *out) {
  gss_buffer_desc in = lent(text), made = GSS_C_EMPTY_BUFFER;
  OM_uint32 minor, major = gss_wrap(&minor, g->context, 0, GSS_C_QOP_DEFAULT, &in, NULL, &made);
  if (GSS_ERROR(major)) return failed(g, "no token", major, minor);
  return take(g, &made, out);
}

static const char *why(const struct lm_gss *g) {
  return g->why;
}

static bool passes(const struct lm_gss *g) {
  return g->passes;
}

static const struct lm_gss_calls calls = {
    .open = open_context,
    .step = step,
    .unwrap = unwrap,
    .wrap = wrap,
    .why = why,
    .passes = passes,
    .close = close_context,
};

const struct lm_gss_calls *lm_gss_library(void) {
  return &calls;
}

#else

const struct lm_gss_calls *lm_gss_library(void) {
  return NULL;
}

#endif
