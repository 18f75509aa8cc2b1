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
  struct lm_sasl_credentials tim = {LM_STR("tim"), LM_STR("tanstaaftanstaaf"), LM_STR("")};
  struct lm_sasl_credentials kurt = {LM_STR("Kurt"), LM_STR("xipj3plmq"), LM_STR("Ursel")};
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
  struct lm_sasl_credentials tim = {LM_STR("tim"), LM_STR("tanstaaftanstaaf"), LM_STR("")};
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
  struct lm_sasl_credentials nobody = {LM_STR(""), LM_STR(""), LM_STR("")};
  struct lm_sasl *s = begin("EXTERNAL", nobody);
  struct lm_str out;
  EXPECT_AS(lm_sasl_initial(s, &out) && out.n == 0 && lm_sasl_done(s), "an empty response");
  lm_sasl_free(s);
  nobody.authzid = LM_STR("fred");
  s = begin("EXTERNAL", nobody);
  EXPECT_AS(lm_sasl_initial(s, &out) && lm_str_eq(out, LM_STR("fred")), "authzid");
  lm_sasl_free(s);
}

static void test_refused(void) {
  const struct lm_sasl_credentials bad[] = {
      {LM_STR("a\0b"), LM_STR("x"), LM_STR("")},
      {LM_STR("a"), LM_STR("x\0y"), LM_STR("")},
      {LM_STR("a"), LM_STR("x"), LM_STR("b\0")},
      {LM_STR(""), LM_STR("x"), LM_STR("")},
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
  test_refused();
  test_order();
  return check_end();
}
