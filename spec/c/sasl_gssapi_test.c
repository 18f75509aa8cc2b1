/*
** sasl_gssapi_test.c: GSSAPI's exchange (RFC 4752) over a GSS-API of a few words: what is said when,
** and what of a server's is refused. The real one is for gss_test.c and spec/gssapi_spec.lua.
*/
#include "check.h"
#include "fake_gss.h"
#include "sasl/sasl.h"

/* LM_STR and LM_NOSTR, for a table. */
#define T(text)                                                                                    \
  { text, sizeof(text) - 1 }
#define NO                                                                                         \
  { NULL, 0 }

static const struct lm_sasl_credentials ann = {
    .service = T("imap"), .host = T("mx"), .gss = &fake_gss};

static struct lm_sasl *begin(struct lm_sasl_credentials c) {
  struct lm_sasl *s = NULL;
  CHECK(lm_sasl_new(lm_sasl_find(LM_STR("gssapi")), &c, &s) == NULL && s != NULL);
  return s;
}

static const char *refusal(struct lm_sasl_credentials c) {
  struct lm_sasl *s = NULL;
  const char *why = lm_sasl_new(lm_sasl_find(LM_STR("GSSAPI")), &c, &s);
  EXPECT(s == NULL);
  return why ? why : "";
}

static void test_credentials(void) {
  struct lm_sasl_credentials c = ann;
  struct lm_sasl *s;
  c.gss = NULL;
  EXPECT(strstr(refusal(c), "no GSSAPI") != NULL);
  c = ann, c.service = LM_NOSTR;
  EXPECT(strstr(refusal(c), "named") != NULL);
  c = ann, c.host = LM_NOSTR;
  EXPECT(strstr(refusal(c), "named") != NULL);
  c = ann, c.host = LM_STR("mx\0.example.org");
  EXPECT(strstr(refusal(c), "NUL") != NULL);
  c = ann, c.ccache = LM_STR("FILE:a\0b");
  EXPECT(strstr(refusal(c), "NUL") != NULL);
  c = ann, c.user = LM_STR("a\0b");
  EXPECT(strstr(refusal(c), "NUL") != NULL);
  EXPECT(lm_sasl_serve(lm_sasl_find(LM_STR("GSSAPI")), &ann, &s) != NULL);
}

/* A conversation: what the server says and what is answered; NULL ends it, with a refusal. */
struct talk {
  const char *name, *user, *authzid, *ccache;
  struct {
    struct lm_str says, hears;
  } turn[5];
  const char *why; /* part of the refusal that ends it; NULL: a login */
};

#define FIRST                                                                                      \
  { T(""), T("ticket for imap@mx") }
#define PROOF                                                                                      \
  { T("proof"), T("") }

static const struct talk talks[] = {
    {"nobody named", "", "", "", {FIRST, PROOF, {T("W\1\0\0\0"), T("W\1\0\0\0")}}, NULL},
    {"a user", "ann", "", "", {FIRST, PROOF, {T("W\1\0\0\0"), T("W\1\0\0\0ann")}}, NULL},
    {"another", "ann", "bob", "", {FIRST, PROOF, {T("W\7\0\100\0"), T("W\1\0\0\0bob")}}, NULL},
    {"Dovecot's size", "", "", "", {FIRST, PROOF, {T("W\1\377\377\377"), T("W\1\0\0\0")}}, NULL},
    {"more tokens",
     "",
     "",
     "FILE:t",
     {{T(""), T("ticket for imap@mx in FILE:t")},
      {T("more"), T("again")},
      {T("more"), T("again")},
      PROOF,
      {T("W\3\0\0\0"), T("W\1\0\0\0")}},
     NULL},
    {"no base64", "", "", "", {FIRST, {NO, NO}}, "no base64"},
    {"a false token", "", "", "", {FIRST, {T("prof"), NO}}, "a false token"},
    {"an empty token", "", "", "", {FIRST, {T(""), NO}}, "a false token"},
    {"layers too soon", "", "", "", {FIRST, {T("W\1\0\0\0"), NO}}, "a false token"},
    {"no layers", "", "", "", {FIRST, PROOF, {T(""), NO}}, "not wrapped"},
    {"layers in clear", "", "", "", {FIRST, PROOF, {T("\1\0\0\0"), NO}}, "not wrapped"},
    {"no base64 later", "", "", "", {FIRST, PROOF, {NO, NO}}, "no base64"},
    {"layers demanded", "", "", "", {FIRST, PROOF, {T("W\6\0\100\0"), NO}}, "demands"},
    {"no mask", "", "", "", {FIRST, PROOF, {T("W\0\0\0\0"), NO}}, "demands"},
    {"three octets", "", "", "", {FIRST, PROOF, {T("W\1\0\0"), NO}}, "no such thing"},
    {"five octets", "", "", "", {FIRST, PROOF, {T("W\1\0\0\0\0"), NO}}, "no such thing"},
    {"none", "", "", "", {FIRST, PROOF, {T("W"), NO}}, "no such thing"},
};

static void play(const struct talk *t) {
  struct lm_sasl_credentials c = ann;
  struct lm_sasl *s;
  size_t i;
  c.user = str(t->user), c.authzid = str(t->authzid), c.ccache = str(t->ccache);
  s = begin(c);
  for (i = 0; i < 5 && t->turn[i].hears.p; i++) {
    struct lm_str out;
    EXPECT_AS(!lm_sasl_done(s), t->name);
    EXPECT_AS(lm_sasl_step(s, t->turn[i].says, &out) == LM_SASL_SEND, t->name);
    EXPECT_TEXT(out, t->turn[i].hears, t->name);
  }
  EXPECT_AS(lm_sasl_done(s) == (t->why == NULL), t->name);
  if (t->why) {
    struct lm_str out;
    EXPECT_AS(lm_sasl_step(s, t->turn[i].says, &out) == LM_SASL_REFUSED, t->name);
    EXPECT_AS(strstr(lm_sasl_why(s), t->why) != NULL, lm_sasl_why(s));
    EXPECT_AS(!lm_sasl_done(s), t->name);
  } else {
    struct lm_str out;
    EXPECT_AS(lm_sasl_step(s, LM_STR("W\1\0\0\0"), &out) == LM_SASL_REFUSED, t->name);
  }
  lm_sasl_free(s);
  EXPECT_AS(fake_open == 0, t->name);
}

/* The ticket is looked for before anything is said; who does not ask for that meets it later. */
static void test_prepare(void) {
  struct lm_sasl *s = begin(ann);
  struct lm_str out;
  bool passes = true;
  EXPECT(lm_sasl_prepare(s, &passes) && !passes && lm_sasl_prepare(s, &passes));
  EXPECT(lm_sasl_initial(s, &out));
  EXPECT_TEXT(out, LM_STR("ticket for imap@mx"), NULL);
  lm_sasl_free(s);
  s = begin(ann);
  lm_sasl_free(s); /* nothing was begun */
  fake_lacks = "no ticket today";
  s = begin(ann);
  EXPECT(!lm_sasl_prepare(s, &passes) && passes && strstr(lm_sasl_why(s), "today"));
  EXPECT(!lm_sasl_prepare(s, &passes) && passes && !lm_sasl_initial(s, &out));
  EXPECT(lm_sasl_step(s, LM_STR(""), &out) == LM_SASL_REFUSED && strstr(lm_sasl_why(s), "today"));
  lm_sasl_free(s);
  s = begin(ann);
  EXPECT(lm_sasl_step(s, LM_STR(""), &out) == LM_SASL_REFUSED && strstr(lm_sasl_why(s), "today"));
  lm_sasl_free(s);
  fake_lacks = NULL;
  EXPECT(fake_open == 0);
}

int main(void) {
  size_t i;
  test_credentials();
  for (i = 0; i < sizeof talks / sizeof *talks; i++) play(&talks[i]);
  test_prepare();
  return check_end();
}
