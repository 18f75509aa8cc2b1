/*
** imap_alloc_test.c: IMAP conversations in which the n-th allocation fails, for every n: each ends
** in a refusal or in a failure that names memory, and what was held is given back.
*/
#include "check.h"
#include "fail.h"
#include "imap/client.h"
#include "imap/seqset.h"
#include "imap/utf7.h"

/* Sends all, drains the events. False once the session is dead. */
static bool drain(struct lm_imapc *s) {
  struct lm_imapc_event ev;
  struct lm_str out;
  enum lm_status status;
  do {
    status = lm_imapc_next(s, &ev);
    while ((out = lm_wire_output(lm_imapc_wire(s))).n) lm_wire_sent(lm_imapc_wire(s), out.n);
  } while (status == LM_EVENT);
  return status == LM_WAIT;
}

static bool hear(struct lm_imapc *s, struct lm_str answer) {
  return lm_wire_feed(lm_imapc_wire(s), answer) && drain(s);
}

static bool turn(struct lm_imapc *s, uint32_t id, struct lm_str answer) {
  return id != 0 && drain(s) && hear(s, answer);
}

static uint32_t fetch(struct lm_imapc *s, unsigned options) {
  lm_imapc_begin(s, LM_STR("UID FETCH"), options);
  lm_imapc_set(s, LM_STR("1:*"));
  lm_imapc_text(s, LM_STR("(FLAGS BODY.PEEK[])"));
  return lm_imapc_end(s);
}

static uint32_t create(struct lm_imapc *s) {
  static const char big[5000];
  lm_imapc_begin(s, LM_STR("APPEND"), 0);
  lm_imapc_mailbox(s, LM_STR("Entw\xC3\xBCrfe"));
  lm_imapc_open(s);
  lm_imapc_astring(s, LM_STR("a b"));
  lm_imapc_number(s, 5);
  lm_imapc_close(s);
  lm_imapc_date(s, 0);
  lm_imapc_literal(s, (struct lm_str){big, sizeof big}, LM_IMAPC_LITERAL8);
  return lm_imapc_end(s);
}

static uint32_t select_box(struct lm_imapc *s) {
  lm_imapc_begin(s, LM_STR("SELECT"), 0);
  lm_imapc_string(s, LM_STR("in\xC3\xA9"));
  return lm_imapc_end(s);
}

static bool login(struct lm_imapc *s) {
  uint32_t id = lm_imapc_authenticate(s, LM_STR("PLAIN"), LM_STR("initial"));
  return turn(s, id, LM_STR("+ \r\n")) && hear(s, LM_STR("+ YWJj\r\n")) &&
         lm_imapc_answer(s, id, LM_STR("response")) &&
         hear(s, LM_STR("A1 OK [CAPABILITY IMAP4rev1 IDLE LITERAL+] in\r\n"));
}

static bool idle(struct lm_imapc *s) {
  uint32_t id = lm_imapc_idle(s);
  if (!turn(s, id, LM_STR("+ idling\r\n* 5 EXISTS\r\n"))) return false;
  lm_imapc_idle_end(s, id);
  return drain(s) && hear(s, LM_STR("A7 OK\r\n"));
}

static bool talk(struct lm_imapc *s) {
  return lm_wire_trace_on(lm_imapc_wire(s)) && hear(s, LM_STR("* OK [ALERT] hi\r\n")) && login(s) &&
         turn(s, select_box(s),
              LM_STR("* FLAGS (a \\seen)\r\nA2 OK [PERMANENTFLAGS (b)] done\r\n")) &&
         turn(s, create(s), LM_STR("A3 OK [APPENDUID 1 2] done\r\n")) &&
         turn(s, fetch(s, 0),
              LM_STR(
                  "* 1 FETCH (UID 1 X (a (b)) BODYSTRUCTURE ((\"text\" \"x\" (\"A*\" \"''b\") NIL "
                  "\"=?utf-8?q?x?=\" "
                  "\"B\" 1 1)(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 1 (NIL NIL ((NIL NIL NIL "
                  "NIL))) (\"a\" \"b\")) \"M\") ENVELOPE (NIL \"=?utf-8?q?x?=\" ((\"\\\"\" NIL "
                  "\"a\" "
                  "\"b\")) NIL NIL NIL NIL NIL NIL NIL) BODY[header] {2}\r\nab MODSEQ 5 EMAILID "
                  "(x) X-GM-LABELS (\\Inbox \"&APw-\") X-GM-MSGID 5 BINARY.SIZE[1] 3 "
                  "BINARY.SIZE[2] 4 UID 2 "
                  "INTERNALDATE \"x\" RFC822.SIZE 1e3 (FLAGS ()) BODY[9] )\r\n"
                  "* 2 FETCH (ENVELOPE (\"d\" \"s\") MODSEQ (-1) X-GM-THRID x) y\r\n"
                  "* OK [INPROGRESS (\"A4\" 1 2)] x\r\n* NO [MESSAGELIMIT 5 6] x\r\n"
                  "[COPYUID 5 6 7]\r\n* OK [BADURL \"\\\"\"] x\r\n"
                  "* SEARCH 1 2 (MODSEQ 5)\r\n* THREAD (1 2 (3)(4))\r\n* ESEARCH (TAG \"A4\" "
                  "MAILBOX &APw- UIDVALIDITY 1) UID ALL 1:2 ADDTO (0 1 1 2) PARTIAL (1:2 3)\r\n* "
                  "LIST () \"/\" \"&APw-\"\r\nA4 OK\r\n")) &&
         hear(s,
              LM_STR("* LIST () \"/\" a (OLDNAME (\"&APw-\") X (1))\r\n* NAMESPACE ((\"&APw-\" "
                     "\"/\" \"X\" (\"y\"))) NIL NIL\r\n* ACL a b lr\r\n* LISTRIGHTS a b lr w\r\n"
                     "* MYRIGHTS &APw- lr\r\n* METADATA a (/x \"\\\"\" /y NIL)\r\n* METADATA a /x "
                     "/y\r\n* QUOTA \"\" (STORAGE 1 2)\r\n* QUOTAROOT a b c\r\n* QUOTA x\r\n"
                     "* NO [METADATA MAXSIZE 5] x\r\n* NO [REFERRAL a b] x\r\n")) &&
         turn(s, fetch(s, LM_IMAPC_STREAM),
              LM_STR("* 1 FETCH (UID 1 BODY[] {2}\r\nab BODY[\"x\"] {3}\r\nabc FLAGS (a) X[1] "
                     "{1}\r\na)\r\nA5 "
                     "OK\r\n")) &&
         idle(s);
}

/* A run where the n-th allocation fails; false where none did, which must go well. */
static bool conversation(long n) {
  struct lm_limits limits = LM_LIMITS_DEFAULT;
  struct lm_imapc *s;
  bool ok, memory;
  limits.piece = 0;
  fail_at(n);
  s = lm_imapc_new(&limits);
  ok = s && talk(s);
  fail_never();
  memory = s == NULL || lm_wire_error(lm_imapc_wire(s))->code == LM_E_MEMORY ||
           lm_wire_error(lm_imapc_wire(s))->code == LM_E_NONE;
  lm_imapc_free(s);
  CHECK(ok || (refused && memory));
  return refused != 0;
}

static bool sets_and_names(long n) {
  struct lm_seqset set = {NULL, 0, 0};
  struct lm_buf b = {NULL, 0, 0, 0};
  bool ok;
  fail_at(n);
  ok = lm_seqset_parse(&set, LM_STR("1,3,5,7,9,11,13,15,17,19,21,23,25,27,29,31,33")) ==
           LM_SEQSET_OK &&
       lm_seqset_format(&set, &b) && lm_utf7_encode(&b, LM_STR("\xC3\xBC")) == LM_UTF7_OK &&
       lm_utf7_decode(&b, LM_STR("&APw-")) == LM_UTF7_OK;
  fail_never();
  lm_seqset_free(&set);
  lm_buf_free(&b);
  CHECK(ok == (refused == 0));
  return refused != 0;
}

int main(void) {
  long n = 0;
  while (conversation(n)) n++;
  CHECK(n >= 30);
  for (n = 0; sets_and_names(n);) n++;
  CHECK(n > 0);
  return check_end();
}
