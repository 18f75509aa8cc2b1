/*
** sasl_scram_test.c: SCRAM, both sides: the examples of the standards, the two sides against each
** other, and peers that lie.
*/
#include "check.h"
#include "sasl/mech.h"

static struct lm_str text(const char *s) {
  return (struct lm_str){s, strlen(s)};
}

static const struct lm_sasl_mechanism *mechanism(const char *name) {
  return lm_sasl_find(text(name));
}

static struct lm_sasl *client(const char *name, struct lm_sasl_credentials c) {
  struct lm_sasl *s = NULL;
  EXPECT_AS(lm_sasl_new(mechanism(name), &c, &s) == NULL, name);
  return s;
}

static struct lm_sasl *server(const char *name, struct lm_sasl_credentials c) {
  struct lm_sasl *s = NULL;
  EXPECT_AS(lm_sasl_serve(mechanism(name), &c, &s) == NULL, name);
  return s;
}

/* Answers a challenge to the end of the work. */
static enum lm_sasl_answer step(struct lm_sasl *s, struct lm_str challenge, struct lm_str *out) {
  enum lm_sasl_answer answer = lm_sasl_step(s, challenge, out);
  int slices = 0;
  while (answer == LM_SASL_WORKING && slices++ < 10000)
    answer = lm_sasl_work(s, LM_SCRAM_SLICE, out);
  return answer;
}

static void receive(struct lm_sasl *s, struct lm_str response, struct lm_sasl_event *ev) {
  int slices = 0;
  lm_sasl_receive(s, response, ev);
  while (ev->turn == LM_SASL_MORE && slices++ < 10000) lm_sasl_continue(s, ev);
}

struct example {
  const char *name;
  const char *nonce, *first, *challenge, *last, *verifier;
};

/* RFC 5802 §5, RFC 7677 §3 */
static const struct example examples[] = {
    {"SCRAM-SHA-1", "fyko+d2lbbFgONRv9qkxdawL", "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
     "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
     "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
     "v=rmF9pqV8S7suAoZWja4dJRkFsKQ="},
    {"SCRAM-SHA-256", "rOprNGfwEbeRWgbNEkqO", "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
     "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
     "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
     "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
     "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
     "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="},
};

static void test_examples(void) {
  size_t i;
  for (i = 0; i < sizeof examples / sizeof *examples; i++) {
    const struct example *e = &examples[i];
    struct lm_sasl_credentials c = {
        .user = LM_STR("user"), .password = LM_STR("pencil"), .nonce = text(e->nonce)};
    struct lm_sasl *s = client(e->name, c);
    struct lm_str out;
    EXPECT_AS(lm_sasl_initial(s, &out) && lm_str_eq(out, text(e->first)), e->name);
    EXPECT_AS(step(s, text(e->challenge), &out) == LM_SASL_SEND && lm_str_eq(out, text(e->last)),
              "proof");
    EXPECT_AS(!lm_sasl_done(s), "the server has proved nothing yet");
    EXPECT_AS(step(s, text(e->verifier), &out) == LM_SASL_SEND && out.n == 0, "verifier");
    EXPECT_AS(lm_sasl_done(s), "done");
    lm_sasl_free(s);
  }
}

/* What a server may say that no client may believe. */
static void test_lies(void) {
  const struct lm_str lies[] = {
      LM_STR("r=other3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096"), /* foreign nonce */
      LM_STR("r=ours,s=QSXCR+Q6sek8bf92,i=4096"),                    /* nothing added */
      LM_STR("r=oursX,s=QSXCR+Q6sek8bf92,i=1"),
      LM_STR("r=oursX,s=QSXCR+Q6sek8bf92,i=4095"),
      LM_STR("r=oursX,s=QSXCR+Q6sek8bf92,i=2147483648"),
      LM_STR("r=oursX,s=QSXCR+Q6sek8bf92,i=4294967297"),
      LM_STR("r=oursX,s=QSXCR+Q6sek8bf92,i=-1"),
      LM_STR("r=oursX,s=,i=4096"),
      LM_STR("r=oursX,s=!!!!,i=4096"),
      LM_STR("m=x,r=oursX,s=QSXCR+Q6sek8bf92,i=4096"),
      LM_STR("s=QSXCR+Q6sek8bf92,r=oursX,i=4096"),
      LM_STR("r=oursX,s=QSXCR+Q6sek8bf92"),
      LM_STR(""),
      {NULL, 0},
  };
  struct lm_sasl_credentials c = {
      .user = LM_STR("user"), .password = LM_STR("pencil"), .nonce = LM_STR("ours")};
  struct lm_str out;
  size_t i;
  for (i = 0; i < sizeof lies / sizeof *lies; i++) {
    struct lm_sasl *s = client("SCRAM-SHA-256", c);
    lm_sasl_initial(s, &out);
    EXPECT_AS(step(s, lies[i], &out) == LM_SASL_REFUSED && strlen(lm_sasl_why(s)) > 0,
              lies[i].p ? lies[i].p : "no base64");
    lm_sasl_free(s);
  }
}

static void test_signature(void) {
  const struct lm_str wrong[] = {LM_STR("v=AAAAfpqV8S7suAoZWja4dJRkFsKQ="), LM_STR("v="),
                                 LM_STR(""), LM_STR("v=rmF9pqV8S7suAoZWja4dJRkFsA=="),
                                 LM_STR("x=rmF9pqV8S7suAoZWja4dJRkFsKQ=")};
  const struct example *e = &examples[0];
  struct lm_sasl_credentials c = {
      .user = LM_STR("user"), .password = LM_STR("pencil"), .nonce = text(e->nonce)};
  struct lm_str out;
  struct lm_sasl *s;
  size_t i;
  for (i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    s = client(e->name, c);
    lm_sasl_initial(s, &out);
    step(s, text(e->challenge), &out);
    EXPECT_AS(step(s, wrong[i], &out) == LM_SASL_REFUSED && !lm_sasl_done(s), wrong[i].p);
    lm_sasl_free(s);
  }
  s = client(e->name, c);
  lm_sasl_initial(s, &out);
  step(s, text(e->challenge), &out);
  EXPECT_AS(step(s, LM_STR("e=unknown-user"), &out) == LM_SASL_SEND && !lm_sasl_done(s), "e=");
  EXPECT_AS(lm_str_eq(lm_sasl_reason(s), LM_STR("unknown-user")), "its reason");
  lm_sasl_free(s);
}

/* The two sides against each other; true where the server accepts. */
static bool meet(const char *name, struct lm_sasl_credentials c, struct lm_sasl_credentials ours,
                 const struct lm_sasl_secret *secret) {
  struct lm_sasl *a = client(name, c), *b = server(name, ours);
  struct lm_sasl_event ev;
  struct lm_str out;
  bool good = false;
  lm_sasl_initial(a, &out);
  receive(b, out, &ev);
  if (ev.turn == LM_SASL_LOOKUP && lm_str_eq(ev.user, c.user)) {
    lm_sasl_secret(b, secret, &ev);
    if (ev.turn == LM_SASL_CHALLENGE && step(a, ev.text, &out) == LM_SASL_SEND)
      receive(b, out, &ev);
    if (ev.turn == LM_SASL_CHALLENGE && step(a, ev.text, &out) == LM_SASL_SEND && lm_sasl_done(a))
      receive(b, out, &ev);
    good =
        ev.turn == LM_SASL_ACCEPT && lm_str_eq(ev.user, c.user) && lm_str_eq(ev.authzid, c.authzid);
  }
  lm_sasl_free(a);
  lm_sasl_free(b);
  return good;
}

static void test_both(void) {
  static const char *const names[] = {"SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512"};
  struct lm_sasl_credentials c = {
      .user = LM_STR("a=n,n"), .password = LM_STR("p\xc3\xa4ss"), .authzid = LM_STR("b,ob")};
  struct lm_sasl_credentials ours = {.host = LM_STR("mx")}, other = c;
  struct lm_sasl_secret right = {.password = LM_STR("p\xc3\xa4ss")};
  struct lm_sasl_secret decomposed = {.password = LM_STR("pa\xcc\x88ss")};
  struct lm_sasl_secret wrong = {.password = LM_STR("pass")}, nobody = {.salt = LM_STR("pepper")};
  size_t i;
  for (i = 0; i < 3; i++) {
    EXPECT_AS(meet(names[i], c, ours, &right), names[i]);
    EXPECT_AS(meet(names[i], c, ours, &decomposed), "written in another way");
    EXPECT_AS(!meet(names[i], c, ours, &wrong), "a wrong password");
    EXPECT_AS(!meet(names[i], c, ours, &nobody), "nobody");
  }
  other.binding = LM_STR("octets");
  EXPECT_AS(meet("SCRAM-SHA-256", other, ours, &right), "could have been bound, was not offered");
  ours.binding_offered = true;
  EXPECT_AS(!meet("SCRAM-SHA-256", other, ours, &right), "somebody took the offer away");
}

static void test_binding(void) {
  struct lm_sasl_credentials c = {.user = LM_STR("ann"),
                                  .password = LM_STR("secret"),
                                  .binding_name = LM_STR("tls-exporter"),
                                  .binding = LM_STR("thirty-two octets")};
  struct lm_sasl_credentials ours = c, other = c, unbound = c;
  struct lm_sasl_secret secret = {.password = LM_STR("secret"), .rounds = 5000};
  struct lm_sasl *s;
  ours.user = ours.password = LM_STR("");
  EXPECT_AS(meet("SCRAM-SHA-256-PLUS", c, ours, &secret), "the same channel");
  EXPECT_AS(meet("SCRAM-SHA-1-PLUS", c, ours, &secret), "the same channel");
  EXPECT_AS(meet("SCRAM-SHA-512-PLUS", c, ours, &secret), "the same channel");
  other.binding = LM_STR("somebody between");
  EXPECT_AS(!meet("SCRAM-SHA-256-PLUS", other, ours, &secret), "another channel");
  other = c;
  other.binding_name = LM_STR("tls-server-end-point");
  EXPECT_AS(!meet("SCRAM-SHA-256-PLUS", other, ours, &secret), "another type");
  unbound.binding = LM_STR("");
  EXPECT_AS(lm_sasl_new(mechanism("SCRAM-SHA-256-PLUS"), &unbound, &s) != NULL, "no channel");
}

static void test_saslprep(void) {
  /* RFC 4013 §3, and what is forbidden */
  const struct {
    struct lm_str text, prepared;
  } rows[] = {
      {LM_STR("I\xc2\xadX"), LM_STR("IX")},
      {LM_STR("user"), LM_STR("user")},
      {LM_STR("USER"), LM_STR("USER")},
      {LM_STR("\xc2\xaa"), LM_STR("a")},
      {LM_STR("\xe2\x85\xa8"), LM_STR("IX")},
      {LM_STR("a\xc2\xa0"
              "b"),
       LM_STR("a b")},
      {LM_STR("\xff\xfe"), LM_STR("\xff\xfe")},
      {LM_STR("\x07"), {NULL, 0}},
      {LM_STR("\xd8\xa7"
              "1"),
       {NULL, 0}},
      {LM_STR("\xd8\xa7"
              "a\xd8\xa7"),
       {NULL, 0}},
  };
  size_t i;
  for (i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct lm_buf out = {NULL, 0, 0, 0};
    bool good = lm_saslprep(rows[i].text, &out);
    EXPECT_AS(good == (rows[i].prepared.p != NULL), rows[i].text.p);
    if (good) EXPECT_AS(lm_str_eq(lm_buf_str(&out), rows[i].prepared), rows[i].text.p);
    lm_buf_free(&out);
  }
}

int main(void) {
  test_examples();
  test_lies();
  test_signature();
  test_both();
  test_binding();
  test_saslprep();
  return check_end();
}
