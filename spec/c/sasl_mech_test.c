/*
** sasl_mech_test.c: the SASL mechanisms of the client, octet by octet.
*/
#include "check.h"
#include "sasl/sasl.h"

static struct lm_sasl *begin(const char *mechanism, struct lm_sasl_credentials c) {
  struct lm_sasl *s = NULL;
  const char *why =
      lm_sasl_new(lm_sasl_find((struct lm_str){mechanism, strlen(mechanism)}), &c, &s);
  EXPECT_AS(why == NULL && s != NULL, mechanism);
  return s;
}

/* RFC 4616 §4, both examples. */
static void test_plain(void) {
  struct lm_sasl_credentials tim = {
      .user = LM_STR("tim"), .password = LM_STR("tanstaaftanstaaf"), .authzid = LM_STR("")};
  struct lm_sasl_credentials kurt = {
      .user = LM_STR("Kurt"), .password = LM_STR("xipj3plmq"), .authzid = LM_STR("Ursel")};
  struct lm_sasl *s = begin("PLAIN", tim);
  struct lm_str out;
  EXPECT_AS(!lm_sasl_done(s), "PLAIN has something to say");
  EXPECT_AS(lm_sasl_initial(s, &out) && lm_str_eq(out, LM_STR("\0tim\0tanstaaftanstaaf")),
            "initial");
  EXPECT_AS(lm_sasl_done(s), "PLAIN is done");
  EXPECT_AS(lm_sasl_step(s, LM_STR(""), &out) == LM_SASL_REFUSED, "no second challenge");
  EXPECT_AS(strlen(lm_sasl_why(s)) > 0, "and a reason");
  lm_sasl_free(s);
  s = begin("plain", kurt);
  EXPECT_AS(lm_sasl_step(s, LM_NOSTR, &out) == LM_SASL_SEND, "a garbled first challenge is empty");
  EXPECT_AS(lm_str_eq(out, LM_STR("Ursel\0Kurt\0xipj3plmq")), "authzid");
  EXPECT_AS(!lm_sasl_initial(s, &out), "no initial response later");
  lm_sasl_free(s);
}

static void test_login(void) {
  struct lm_sasl_credentials tim = {
      .user = LM_STR("tim"), .password = LM_STR("tanstaaftanstaaf"), .authzid = LM_STR("")};
  struct lm_sasl *s = begin("LOGIN", tim);
  struct lm_str out;
  EXPECT_AS(!lm_sasl_initial(s, &out), "the server speaks first");
  EXPECT_AS(lm_sasl_step(s, LM_STR("User Name"), &out) == LM_SASL_SEND, "user asked");
  EXPECT_AS(lm_str_eq(out, LM_STR("tim")) && !lm_sasl_done(s), "user");
  EXPECT_AS(lm_sasl_step(s, LM_STR("Password"), &out) == LM_SASL_SEND, "password asked");
  EXPECT_AS(lm_str_eq(out, LM_STR("tanstaaftanstaaf")) && lm_sasl_done(s), "password");
  EXPECT_AS(lm_sasl_step(s, LM_STR("PIN"), &out) == LM_SASL_REFUSED, "nothing more");
  lm_sasl_free(s);
}

static void test_external(void) {
  struct lm_sasl_credentials nobody = {
      .user = LM_STR(""), .password = LM_STR(""), .authzid = LM_STR("")};
  struct lm_sasl *s = begin("EXTERNAL", nobody);
  struct lm_str out;
  EXPECT_AS(lm_sasl_initial(s, &out) && out.n == 0 && lm_sasl_done(s), "an empty response");
  lm_sasl_free(s);
  nobody.authzid = LM_STR("fred");
  s = begin("EXTERNAL", nobody);
  EXPECT_AS(lm_sasl_initial(s, &out) && lm_str_eq(out, LM_STR("fred")), "authzid");
  lm_sasl_free(s);
}

/* RFC 2195 §2 */
static void test_cram_md5(void) {
  struct lm_sasl_credentials tim = {.user = LM_STR("tim"), .password = LM_STR("tanstaaftanstaaf")};
  struct lm_sasl *s = begin("CRAM-MD5", tim);
  struct lm_str out;
  EXPECT_AS(!lm_sasl_initial(s, &out), "the server speaks first");
  EXPECT_AS(lm_sasl_step(s, LM_STR("<1896.697170952@postoffice.reston.mci.net>"), &out) ==
                LM_SASL_SEND,
            "challenge");
  EXPECT_AS(lm_str_eq(out, LM_STR("tim b913a602c7eda7a495b4e6e7334d3890")) && lm_sasl_done(s),
            "keyed");
  lm_sasl_free(s);
}

/* RFC 2831 §4 */
static void test_digest_md5(void) {
  struct lm_sasl_credentials chris = {.user = LM_STR("chris"),
                                      .password = LM_STR("secret"),
                                      .service = LM_STR("imap"),
                                      .host = LM_STR("elwood.innosoft.com"),
                                      .nonce = LM_STR("OA6MHXh6VqTrRk")};
  struct lm_str challenge = LM_STR("realm=\"elwood.innosoft.com\",nonce=\"OA6MG9tEQGm2hh\","
                                   "qop=\"auth\",algorithm=md5-sess,charset=utf-8");
  const struct lm_str bad[] = {LM_STR(""),
                               LM_STR("realm=\"x\""),
                               LM_STR("nonce=\"x"),
                               LM_STR("nonce=a,nonce=b"),
                               LM_STR("nonce=a,qop=\"auth-conf\""),
                               LM_STR("=,"),
                               LM_STR("nonce")};
  struct lm_sasl *s = begin("DIGEST-MD5", chris);
  struct lm_str out;
  size_t i;
  EXPECT_AS(lm_sasl_step(s, challenge, &out) == LM_SASL_SEND, "challenge");
  EXPECT_AS(lm_str_eq(out, LM_STR("charset=utf-8,username=\"chris\",realm=\"elwood.innosoft.com\","
                                  "nonce=\"OA6MG9tEQGm2hh\",cnonce=\"OA6MHXh6VqTrRk\",nc=00000001,"
                                  "qop=auth,digest-uri=\"imap/elwood.innosoft.com\","
                                  "response=d388dad90d4bbd760a152321f2143af7")),
            "response");
  EXPECT_AS(!lm_sasl_done(s), "the server has proved nothing yet");
  EXPECT_AS(lm_sasl_step(s, LM_STR("rspauth=ea40f60335c427b5527b84dbabcdfffd"), &out) ==
                    LM_SASL_SEND &&
                lm_sasl_done(s),
            "rspauth");
  lm_sasl_free(s);
  s = begin("DIGEST-MD5", chris);
  lm_sasl_step(s, challenge, &out);
  EXPECT_AS(lm_sasl_step(s, LM_STR("rspauth=ea40f60335c427b5527b84dbabcdffff"), &out) ==
                LM_SASL_REFUSED,
            "a server that does not know the password");
  lm_sasl_free(s);
  for (i = 0; i < sizeof bad / sizeof *bad; i++) {
    s = begin("DIGEST-MD5", chris);
    EXPECT_AS(lm_sasl_step(s, bad[i], &out) == LM_SASL_REFUSED, bad[i].p);
    lm_sasl_free(s);
  }
}

/* [MS-NLMP] §4.2.4, with the time at zero as there. */
static void test_ntlm(void) {
  static const char type2[] =
      "NTLMSSP\0\2\0\0\0\14\0\14\0\70\0\0\0\63\202\212\342\1\43\105\147\211\253\315\357"
      "\0\0\0\0\0\0\0\0\44\0\44\0\104\0\0\0\6\0\160\27\0\0\0\17S\0e\0r\0v\0e\0r\0"
      "\2\0\14\0D\0o\0m\0a\0i\0n\0\1\0\14\0S\0e\0r\0v\0e\0r\0\0\0\0\0";
  static const unsigned char proof[] = {0x68, 0xcd, 0x0a, 0xb8, 0x51, 0xe5, 0x1c, 0x96,
                                        0xaa, 0xbc, 0x92, 0x7b, 0xeb, 0xef, 0x6a, 0x1c};
  struct lm_sasl_credentials c = {.user = LM_STR("Domain\\User"),
                                  .password = LM_STR("Password"),
                                  .now = (uint64_t)0 - 11644473600u,
                                  .nonce = LM_STR("\252\252\252\252\252\252\252\252")};
  struct lm_str challenge = {type2, sizeof type2 - 1}, out;
  struct lm_sasl *s = begin("NTLM", c);
  size_t i;
  EXPECT_AS(lm_sasl_initial(s, &out) && out.n == 32 && memcmp(out.p, "NTLMSSP\0\1", 9) == 0,
            "negotiate");
  EXPECT_AS(lm_sasl_step(s, challenge, &out) == LM_SASL_SEND && lm_sasl_done(s), "authenticate");
  EXPECT_AS(out.n > 104 && memcmp(out.p + 88, proof, 16) == 0, "NTProofStr");
  lm_sasl_free(s);
  for (i = 0; i < challenge.n; i++) { /* cut anywhere: refused or answered, never read beyond */
    struct lm_str part = {challenge.p, i};
    s = begin("NTLM", c);
    lm_sasl_initial(s, &out);
    EXPECT_AS(i >= 32 || lm_sasl_step(s, part, &out) == LM_SASL_REFUSED, "too short");
    if (i >= 32) lm_sasl_step(s, part, &out);
    lm_sasl_free(s);
  }
}

static void test_oauth(void) {
  struct lm_sasl_credentials c = {.user = LM_STR("user@example.com"),
                                  .token = LM_STR("vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg=="),
                                  .host = LM_STR("server.example.com"),
                                  .port = LM_STR("143")};
  struct lm_str json = LM_STR("{\"status\":\"401\"}"), out;
  struct lm_sasl *s = begin("OAUTHBEARER", c); /* RFC 7628 §4.1 */
  EXPECT_AS(
      lm_sasl_initial(s, &out) &&
          lm_str_eq(out, LM_STR("n,a=user@example.com,\1host=server.example.com\1port=143\1"
                                "auth=Bearer vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg==\1\1")),
      "message");
  EXPECT_AS(lm_sasl_step(s, json, &out) == LM_SASL_SEND && lm_str_eq(out, LM_STR("\1")), "kvsep");
  EXPECT_AS(!lm_sasl_done(s) && lm_str_eq(lm_sasl_reason(s), json), "the reason");
  EXPECT_AS(lm_sasl_step(s, json, &out) == LM_SASL_REFUSED, "once");
  lm_sasl_free(s);
  s = begin("XOAUTH2", c);
  EXPECT_AS(lm_sasl_initial(s, &out) &&
                lm_str_eq(out, LM_STR("user=user@example.com\1auth=Bearer "
                                      "vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg==\1\1")),
            "message");
  EXPECT_AS(lm_sasl_step(s, json, &out) == LM_SASL_SEND && out.n == 0 && !lm_sasl_done(s), "empty");
  lm_sasl_free(s);
  c.token = LM_STR("a\1b");
  EXPECT_AS(lm_sasl_new(lm_sasl_find(LM_STR("XOAUTH2")), &c, &s) != NULL, "a token with ^A");
}

/* --- the server --------------------------------------------------------------------------------- */

static struct lm_sasl *serve(const char *mechanism, struct lm_sasl_credentials of_ours) {
  struct lm_sasl *s = NULL;
  EXPECT_AS(lm_sasl_serve(lm_sasl_find((struct lm_str){mechanism, strlen(mechanism)}), &of_ours,
                          &s) == NULL,
            mechanism);
  return s;
}

static void test_serving_plain(void) {
  const struct lm_str bad[] = {LM_STR(""), LM_STR("ann"), LM_STR("\0\0secret"), LM_STR("\0ann\0"),
                               LM_STR("\0ann\0x\0y")};
  struct lm_sasl_credentials none = {.host = LM_STR("mx")};
  struct lm_sasl_event ev;
  struct lm_sasl *s;
  size_t i;
  for (i = 0; i < 2; i++) {
    s = serve("PLAIN", none);
    lm_sasl_receive(s, LM_NOSTR, &ev);
    EXPECT_AS(ev.turn == LM_SASL_CHALLENGE && ev.text.n == 0, "go on");
    lm_sasl_receive(s, LM_STR("bob\0ann\0secret"), &ev);
    EXPECT_AS(ev.turn == LM_SASL_CHECK && lm_str_eq(ev.user, LM_STR("ann")) &&
                  lm_str_eq(ev.password, LM_STR("secret")) && lm_str_eq(ev.authzid, LM_STR("bob")),
              "claims");
    lm_sasl_decide(s, i == 0, &ev);
    EXPECT_AS(ev.turn == (i == 0 ? LM_SASL_ACCEPT : LM_SASL_DENY), "verdict");
    lm_sasl_receive(s, LM_STR("\0ann\0secret"), &ev);
    EXPECT_AS(ev.turn == LM_SASL_DENY, "over");
    lm_sasl_free(s);
  }
  for (i = 0; i < sizeof bad / sizeof *bad; i++) {
    s = serve("PLAIN", none);
    lm_sasl_receive(s, bad[i], &ev);
    EXPECT_AS(ev.turn == LM_SASL_DENY, "malformed");
    lm_sasl_free(s);
  }
}

static void test_serving_login(void) {
  struct lm_sasl_credentials none = {.host = LM_STR("mx")};
  struct lm_sasl_event ev;
  struct lm_sasl *s;
  int named;
  for (named = 0; named < 2; named++) { /* the name along with the command, or when asked */
    s = serve("LOGIN", none);
    if (!named) {
      lm_sasl_receive(s, LM_NOSTR, &ev);
      EXPECT_AS(ev.turn == LM_SASL_CHALLENGE && lm_str_eq(ev.text, LM_STR("Username:")), "user");
    }
    lm_sasl_receive(s, LM_STR("ann"), &ev);
    EXPECT_AS(ev.turn == LM_SASL_CHALLENGE && lm_str_eq(ev.text, LM_STR("Password:")), "password");
    lm_sasl_receive(s, LM_STR("secret"), &ev);
    EXPECT_AS(ev.turn == LM_SASL_CHECK && lm_str_eq(ev.user, LM_STR("ann")) &&
                  lm_str_eq(ev.password, LM_STR("secret")),
              "claims");
    lm_sasl_decide(s, true, &ev);
    EXPECT_AS(ev.turn == LM_SASL_ACCEPT && lm_str_eq(ev.user, LM_STR("ann")), "accepted");
    lm_sasl_free(s);
  }
}

static void test_serving_cram_md5(void) {
  struct lm_sasl_credentials ours = {.host = LM_STR("mx"), .nonce = LM_STR("1896")};
  struct lm_sasl_credentials c = {.user = LM_STR("ann b"), .password = LM_STR("secret")};
  struct lm_sasl_secret secret = {.password = LM_STR("secret")}, nobody = {.rounds = 0};
  int right;
  for (right = 0; right < 2; right++) {
    struct lm_sasl *a = begin("CRAM-MD5", c), *b = serve("CRAM-MD5", ours);
    struct lm_sasl_event ev;
    struct lm_str out;
    lm_sasl_receive(b, LM_NOSTR, &ev);
    EXPECT_AS(ev.turn == LM_SASL_CHALLENGE && lm_str_eq(ev.text, LM_STR("<1896@mx>")), "challenge");
    lm_sasl_step(a, ev.text, &out);
    lm_sasl_receive(b, out, &ev);
    EXPECT_AS(ev.turn == LM_SASL_LOOKUP && lm_str_eq(ev.user, LM_STR("ann b")), "user");
    lm_sasl_secret(b, right ? &secret : &nobody, &ev);
    EXPECT_AS(ev.turn == (right ? LM_SASL_ACCEPT : LM_SASL_DENY), "verdict");
    lm_sasl_free(a);
    lm_sasl_free(b);
  }
}

static void test_serving_tokens(void) {
  static const char *const names[] = {"OAUTHBEARER", "XOAUTH2"};
  struct lm_sasl_credentials none = {.host = LM_STR("mx")};
  struct lm_sasl_credentials c = {.user = LM_STR("ann"), .token = LM_STR("t0ken")};
  int i;
  for (i = 0; i < 4; i++) {
    struct lm_sasl *a = begin(names[i / 2], c), *b = serve(names[i / 2], none);
    struct lm_sasl_event ev;
    struct lm_str out;
    lm_sasl_initial(a, &out);
    lm_sasl_receive(b, out, &ev);
    EXPECT_AS(ev.turn == LM_SASL_TOKEN && lm_str_eq(ev.user, LM_STR("ann")) &&
                  lm_str_eq(ev.password, LM_STR("t0ken")),
              "claims");
    lm_sasl_decide(b, i % 2 == 0, &ev);
    EXPECT_AS(ev.turn == (i % 2 == 0 ? LM_SASL_ACCEPT : LM_SASL_CHALLENGE), "verdict");
    if (i % 2) {
      lm_sasl_step(a, ev.text, &out);
      lm_sasl_receive(b, out, &ev);
      EXPECT_AS(ev.turn == LM_SASL_DENY, "denied once the client has answered");
    }
    lm_sasl_free(a);
    lm_sasl_free(b);
  }
}

static void test_serving_others(void) {
  struct lm_sasl_credentials ours = {.user = LM_STR("ann"), .host = LM_STR("mx")};
  struct lm_sasl_event ev;
  struct lm_sasl *s = serve("EXTERNAL", ours);
  lm_sasl_receive(s, LM_STR("bob"), &ev);
  EXPECT_AS(ev.turn == LM_SASL_ACCEPT && lm_str_eq(ev.user, LM_STR("ann")) &&
                lm_str_eq(ev.authzid, LM_STR("bob")),
            "EXTERNAL");
  lm_sasl_free(s);
  ours.user = LM_STR("");
  s = serve("EXTERNAL", ours);
  lm_sasl_receive(s, LM_STR(""), &ev);
  EXPECT_AS(ev.turn == LM_SASL_DENY, "no certificate");
  lm_sasl_free(s);
  s = serve("ANONYMOUS", ours);
  lm_sasl_receive(s, LM_STR("trace"), &ev);
  EXPECT_AS(ev.turn == LM_SASL_ACCEPT && lm_str_eq(ev.user, LM_STR("trace")), "ANONYMOUS");
  lm_sasl_free(s);
  EXPECT_AS(lm_sasl_serve(lm_sasl_find(LM_STR("NTLM")), &ours, &s) != NULL, "not served");
}

static void test_refused(void) {
  const struct lm_sasl_credentials bad[] = {
      {.user = LM_STR("a\0b"), .password = LM_STR("x"), .authzid = LM_STR("")},
      {.user = LM_STR("a"), .password = LM_STR("x\0y"), .authzid = LM_STR("")},
      {.user = LM_STR("a"), .password = LM_STR("x"), .authzid = LM_STR("b\0")},
      {.user = LM_STR(""), .password = LM_STR("x"), .authzid = LM_STR("")},
  };
  size_t i;
  for (i = 0; i < sizeof bad / sizeof *bad; i++) {
    struct lm_sasl *s;
    EXPECT_AS(lm_sasl_new(lm_sasl_find(LM_STR("PLAIN")), &bad[i], &s) != NULL && s == NULL,
              "refused");
  }
  EXPECT_AS(lm_sasl_find(LM_STR("PLAI")) == NULL, "no such mechanism");
  EXPECT_AS(lm_sasl_find(LM_STR("")) == NULL, "no name");
  lm_sasl_free(NULL);
}

static void test_order(void) {
  const struct lm_sasl_mechanism *const *m = lm_sasl_mechanisms();
  size_t i;
  for (i = 0; m[i] && m[i + 1]; i++)
    EXPECT_AS(m[i]->strength > m[i + 1]->strength, "strongest first");
  EXPECT_AS(i > 0, "a table");
}

int main(void) {
  test_plain();
  test_login();
  test_external();
  test_cram_md5();
  test_digest_md5();
  test_ntlm();
  test_oauth();
  test_serving_plain();
  test_serving_login();
  test_serving_cram_md5();
  test_serving_tokens();
  test_serving_others();
  test_refused();
  test_order();
  return check_end();
}
