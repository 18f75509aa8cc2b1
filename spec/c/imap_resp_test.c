/*
** imap_resp_test.c: whole responses in, one line of what they mean out. Every row is also framed
** byte by byte, and cut short at every place, which must fail or wait but never read past the end.
*/
#include "check.h"
#include "imap/frame.h"
#include "imap_show.h"

#define FAILS NULL

static const struct {
  const char *in;
  const char *want; /* NULL: a failure */
} table[] = {
    /* status */
    {"* OK ready\r\n", "OK text=\"ready\""},
    {"* ok [ALERT] Careful\r\n", "OK [ALERT] text=\"Careful\""},
    {"A1 OK\r\n", "A1 OK text=\"\""},
    {"A1 OK see item {5}\r\n", "A1 OK text=\"see item {5}\""},
    {"a1 no [TRYCREATE] no such mailbox\r\n", "a1 NO [TRYCREATE] text=\"no such mailbox\""},
    {"A1 OK [UIDNEXT 4392] x\r\n", "A1 OK [UIDNEXT 4392] text=\"x\""},
    {"A1 OK [X-FOO \"a]b\" c] x\r\n", "A1 OK [X-FOO \"\"a]b\" c\"] text=\"x\""},
    {"A1 OK [] x\r\n", "A1 OK text=\"[] x\""},
    {"A1 OK [half open\r\n", "A1 OK text=\"[half open\""},
    {"A1 OK [UIDNEXT soon] x\r\n", "A1 OK [UIDNEXT \"soon\"] text=\"x\""},
    {"* OK [PERMANENTFLAGS (\\Seen \\*)] ok\r\n",
     "OK [PERMANENTFLAGS {\"\\Seen\" \"\\*\"}] text=\"ok\""},
    {"A1 NO [BADCHARSET ({5}\r\nUTF-8 KOI8-R)] x {3}\r\n",
     "A1 NO [BADCHARSET (\"UTF-8\" KOI8-R)] text=\"x {3}\""},
    {"A1 OK [APPENDUID 38505 3955] done\r\n",
     "A1 OK [APPENDUID (uidvalidity=38505 uids=\"3955\")] text=\"done\""},
    {"A1 OK [COPYUID 38505 304,319:320 3956:3958] done\r\n",
     "A1 OK [COPYUID (uidvalidity=38505 from=\"304,319:320\" to=\"3956:3958\")] text=\"done\""},
    {"A1 OK [HIGHESTMODSEQ 20010715194045007] x\r\n",
     "A1 OK [HIGHESTMODSEQ 20010715194045007] text=\"x\""},
    {"A1 OK [MODIFIED 7,9] x\r\n", "A1 OK [MODIFIED \"7,9\"] text=\"x\""},
    {"A1 OK [MAILBOXID (F22)] x\r\n", "A1 OK [MAILBOXID \"F22\"] text=\"x\""},
    {"* BYE [UNAVAILABLE] gone\r\n", "BYE [UNAVAILABLE] text=\"gone\""},
    {"* PREAUTH [CAPABILITY imap4rev1 IDLE] hi\r\n",
     "PREAUTH [CAPABILITY {\"IMAP4REV1\" \"IDLE\"}] text=\"hi\""},
    {"* [COPYUID 1 2 3]\r\n", "OK [COPYUID (uidvalidity=1 from=\"2\" to=\"3\")] text=\"\""},
    {"* COPYUID 1 2 3\r\n", "OK [COPYUID (uidvalidity=1 from=\"2\" to=\"3\")]"},
    {"+ idling\r\n", "+  text=\"idling\""},
    {"+\r\n", "+  text=\"\""},
    {"+ {5}\r\n", "+  text=\"{5}\""},
    {"A1 BYE no\r\n", FAILS},
    {"A1 MAYBE\r\n", FAILS},
    {"\r\n", FAILS},
    {"* \r\n", FAILS},
    {"HTTP/1.1 400 Bad Request\r\n", FAILS},
    /* data */
    {"* CAPABILITY imap4rev1 AUTH=PLAIN\r\n", "CAPABILITY {\"IMAP4REV1\" \"AUTH=PLAIN\"}"},
    {"* 172 EXISTS\r\n", "172 EXISTS"},
    {"* 172 EXISTS  \r\n", "172 EXISTS"},
    {"* 4294967296 EXISTS\r\n", FAILS},
    {"* 3 EXPUNGE\n", "3 EXPUNGE"},
    {"* FLAGS (\\Answered $Junk)\r\n", "FLAGS {\"\\Answered\" \"$Junk\"}"},
    {"* LIST (\\HasNoChildren) \"/\" INBOX\r\n",
     "LIST (attributes={\"\\HasNoChildren\"} delimiter=\"/\" name=\"INBOX\")"},
    {"* LIST () NIL {5}\r\nabc d\r\n", "LIST (attributes={} name=\"abc d\")"},
    {"* LIST () \"/\" \"&AOk-t&AOk-\"\r\n", "LIST (attributes={} delimiter=\"/\" name=\"été\")"},
    {"* LIST () \"/\" \"R&D\"\r\n", "LIST (attributes={} delimiter=\"/\" name=\"R&D\")"},
    {"* LIST () \"/\" a\tb [c] (d\r\n",
     "LIST (attributes={} delimiter=\"/\" name=\"a\\x09b [c] (d\")"},
    {"* XLIST (\\Sent) \"\\\\\" \"a\\\\b\"\r\n",
     "XLIST (attributes={\"\\Sent\"} delimiter=\"\\\" name=\"a\\b\")"},
    {"* LIST () \"/\" \"x\" (\"CHILDINFO\" (\"SUBSCRIBED\"))\r\n",
     "LIST (attributes={} delimiter=\"/\" name=\"x\" childinfo=(\"SUBSCRIBED\"))"},
    {"* STATUS blurdy (MESSAGES 231 UIDNEXT 44292 APPENDLIMIT NIL MAILBOXID (F1))\r\n",
     "STATUS (name=\"blurdy\" messages=231 uidnext=44292 appendlimit=NIL mailboxid=\"F1\")"},
    {"* STATUS my box (UNSEEN 1)\r\n", "STATUS (name=\"my box\" unseen=1)"},
    {"* SEARCH\r\n", "SEARCH ()"},
    {"* SEARCH 2 3 6 (MODSEQ 917162500)\r\n", "SEARCH (2 3 6 modseq=917162500)"},
    {"* SEARCH 2 x\r\n", FAILS},
    {"* ESEARCH (TAG \"A282\") UID MIN 2 COUNT 3 ALL 2,10:11\r\n",
     "ESEARCH (tag=\"A282\" uid=true min=2 count=3 all=\"2,10:11\")"},
    {"* ESEARCH\r\n", "ESEARCH ()"},
    {"* ESEARCH (UIDVALIDITY 3 MAILBOX a) UID ALL 1:4294967295\r\n",
     "ESEARCH (uidvalidity=3 mailbox=\"a\" uid=true all=\"1:4294967295\")"},
    {"* ESEARCH UID PARTIAL (-1:-100 NIL)\r\n", "ESEARCH (uid=true partial=(range=\"-1:-100\"))"},
    {"* ESEARCH REMOVEFROM (0 1) COUNT 2 ADDTO (1 5:6 2 7)\r\n",
     "ESEARCH (updates=((op=\"remove\" position=0 set=\"1\") (op=\"add\" position=1 set=\"5:6\") "
     "(op=\"add\" position=2 set=\"7\")) count=2)"},
    {"* ESEARCH ALL 1:4294967296\r\n", FAILS},
    {"* ESEARCH ALL NIL\r\n", FAILS},
    {"* ESEARCH PARTIAL (1:2)\r\n", FAILS},
    {"* ESEARCH ADDTO (1)\r\n", FAILS},
    {"* ESEARCH (TAG\r\n", FAILS},
    {"* THREAD\r\n", "THREAD "},
    {"* THREAD (1)(2 3 (4)(5 6))((7)(8))\r\n", "THREAD 0:1 0:2 1:3 2:4 2:5 3:6 0:0 1:7 1:8"},
    {"* THREAD ((1)2(3)4)\r\n", "THREAD 0:0 1:1 1:2 2:3 2:4"},
    {"* THREAD ()\r\n", "THREAD "},
    {"* THREAD 1\r\n", FAILS},
    {"* THREAD (1\r\n", FAILS},
    {"* THREAD (1))\r\n", FAILS},
    {"* THREAD (1 x)\r\n", FAILS},
    {"* VANISHED (EARLIER) 41,43:116\r\n", "VANISHED (earlier=true uids=\"41,43:116\")"},
    {"* VANISHED 405\r\n", "VANISHED (uids=\"405\")"},
    {"* VANISHED 0\r\n", FAILS},
    {"* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n",
     "NAMESPACE (personal=((prefix=\"\" delimiter=\"/\")) other=() shared=())"},
    {"* ID (\"name\" \"x\")\r\n", "ID ((\"name\" \"x\"))"},
    {"* THREAD (2)(3 6 (4 23)(44 7 96))\r\n", "THREAD 0:2 0:3 1:6 2:4 3:23 2:44 3:7 4:96"},
    {"* XYZ ~{3}\r\na\001b foo 007 12345678901234567890\r\n",
     "XYZ (\"a\\x01b\" foo 007 12345678901234567890)"},
    {"* XYZ ((( free text\r\n", "XYZ \"((( free text\""},
    /* FETCH */
    {"* 12 FETCH (FLAGS (\\Seen) UID 4827313 RFC822.SIZE 4286)\r\n",
     "12 FETCH uid=4827313 flags={\"\\Seen\"} size=4286"},
    {"* 12 fetch (uid 1)\r\n", "12 FETCH uid=1"},
    {"* 12 FETCH (UID 0)\r\n", "12 FETCH uid=0"},
    {"* 12 FETCH ()\r\n", "12 FETCH"},
    {"* 12 FETCH ( UID 1  FLAGS () ) \r\n", "12 FETCH uid=1 flags={}"},
    {"* 12 FETCH (INTERNALDATE \"17-Jul-1996 02:44:25 -0700\")\r\n", "12 FETCH date=837596665"},
    {"* 12 FETCH (INTERNALDATE \" 1-jan-1970 00:00:00 +0000\")\r\n", "12 FETCH date=0"},
    {"* 12 FETCH (INTERNALDATE \"00-Jan-0000 00:00:00 +0000\" UID 3)\r\n",
     "12 FETCH uid=3 raw=(internaldate=\"00-Jan-0000 00:00:00 +0000\") defects=1"},
    {"* 12 FETCH (UID 99999999999 FLAGS ())\r\n",
     "12 FETCH flags={} raw=(uid=99999999999) defects=1"},
    {"* 12 FETCH (MODSEQ (0))\r\n", "12 FETCH modseq=0"},
    {"* 12 FETCH (MODSEQ (-1) UID 5)\r\n", "12 FETCH uid=5 modseq=0 defects=1"},
    {"* 12 FETCH (X-GM-MSGID 1278455344230334865 X-GM-LABELS (\\Inbox \"a b\") FOO)\r\n",
     "12 FETCH other=(gm_msgid=\"1278455344230334865\" "
     "gm_labels={\"\\Inbox\" \"a b\"} foo=NIL)"},
    {"* 12 FETCH (EMAILID (M6d99) THREADID NIL PREVIEW \"hi\" SAVEDATE NIL)\r\n",
     "12 FETCH other=(emailid=\"M6d99\" preview=\"hi\")"},
    {"* 1 FETCH (BODY[] {3}\r\nabc UID 2)\r\n", "1 FETCH uid=2 body[]=\"abc\""},
    {"* 1 FETCH (BODY[]<0> \"abc\" BODY[1.MIME] NIL RFC822.HEADER {0}\r\n)\r\n",
     "1 FETCH body[]<0>=\"abc\" body[1.MIME]=nil body[HEADER]=\"\""},
    {"* 1 FETCH (BODY[HEADER.FIELDS (\"Date\" {4}\r\nFrom x)] {2}\r\n\r\n)\r\n",
     "1 FETCH body[HEADER.FIELDS (DATE FROM X)]=\"\\x0D\\x0A\""},
    {"* 1 FETCH (BINARY[1]<3> ~{4}\r\na\001bc BINARY.SIZE[1] 4)\r\n",
     "1 FETCH binary[1]<3>=\"a\\x01bc\" other=(binary_size=(1=4))"},
    {"* 1 FETCH (BODY[TEXT] {3}\r\n{9} UID 2)\r\n", "1 FETCH uid=2 body[TEXT]=\"{9}\""},
    {"* 1 FETCH (BODY[TEXT] {5}\r\n\r\n{9} UID 2)\r\n",
     "1 FETCH uid=2 body[TEXT]=\"\\x0D\\x0A{9}\""},
    {"* 1 FETCH (BODY[TEXT] {6}\r\nx\r\n{1}\r\n UID 2)\r\n", FAILS},
    {"* 1 FETCH (BODY[TEXT] {6}\r\nx\r\n{1} UID 2)\r\n",
     "1 FETCH uid=2 body[TEXT]=\"x\\x0D\\x0A{1}\""},
    {"* 1 FETCH (BODY[] {3}\r\nabc UID 2 \"oops (\r\n",
     "1 FETCH uid=2 body[]=\"abc\" raw=(rest=\"\"oops (\") defects=1"},
    {"* 1 FETCH UID 2\r\n", FAILS},
    {"* 1 FETCH (UID 2\r\n", "1 FETCH uid=2 raw=(rest=\"UID 2\") defects=1"},
    /* ENVELOPE */
    {"* 1 FETCH (ENVELOPE (\"Wed\" \"=?utf-8?q?h=C3=A9?=\" ((\"Ann\" NIL \"ann\" \"x.org\")) NIL "
     "NIL NIL NIL "
     "NIL NIL {5}\r\n<a@b>))\r\n",
     "1 FETCH envelope[date=\"Wed\" subject=\"hé\" from=\"Ann\"<ann@x.org> in_reply_to=nil "
     "message_id=\"<a@b>\"]"},
    {"* 1 FETCH (ENVELOPE (NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL))\r\n",
     "1 FETCH envelope[date=nil subject=nil in_reply_to=nil message_id=nil]"},
    {"* 1 FETCH (ENVELOPE ((NIL \"s\" NIL NIL NIL NIL NIL NIL NIL NIL)) UID 1)\r\n",
     "1 FETCH uid=1 envelope[date=nil subject=\"s\" in_reply_to=nil message_id=nil]"},
    {"* 1 FETCH (ENVELOPE (\"d\" \"a \"raw\" b\" NIL NIL NIL NIL NIL NIL NIL NIL))\r\n",
     "1 FETCH envelope[date=\"d\" subject=\"a \"raw\" b\" in_reply_to=nil message_id=nil]"},
    {"* 1 FETCH (ENVELOPE (\"d\" \"c:\\temp \\\"x\\\"\" NIL) UID 7)\r\n",
     "1 FETCH uid=7 envelope[date=\"d\" subject=\"c:\\temp \"x\"\" in_reply_to=nil message_id=nil] "
     "defects=1"},
    {"* 1 FETCH (ENVELOPE \"what\" UID 7)\r\n", "1 FETCH uid=7 raw=(envelope=\"what\") defects=1"},
    {"* 1 FETCH (ENVELOPE (NIL NIL NIL NIL NIL ((NIL NIL \"team\" NIL)(NIL NIL \"b\" \"x\") (NIL "
     "NIL NIL NIL)) "
     "NIL NIL NIL NIL))\r\n",
     "1 FETCH envelope[date=nil subject=nil to=nil<team@>nil<b@x>nil<@> in_reply_to=nil "
     "message_id=nil]"},
    /* BODYSTRUCTURE */
    {"* 1 FETCH (BODY (\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL \"7BIT\" 3028 "
     "92))\r\n",
     "1 FETCH body=[1 text/plain size=3028 lines=92 encoding=7bit (\"charset\" \"US-ASCII\")]"},
    {"* 1 FETCH (BODYSTRUCTURE ((\"text\" \"html\" NIL NIL NIL \"8bit\" 1 1 NIL NIL NIL "
     "NIL)(\"image\" \"png\" "
     "(\"name\" \"a\") \"<i>\" NIL \"base64\" 9 NIL (\"inline\" (\"filename\" \"a\")) \"en\" NIL) "
     "\"related\" "
     "(\"boundary\" \"b\") NIL (\"en\" \"de\") NIL))\r\n",
     "1 FETCH body=[TEXT multipart/related (\"boundary\" \"b\") language=(\"en\" \"de\") [1 "
     "text/html size=1 "
     "lines=1 encoding=8bit] [2 image/png size=9 encoding=base64 (\"name\" \"a\") id=\"<i>\" "
     "disposition=\"inline\"(\"filename\" \"a\") language=\"en\"]]"},
    {"* 1 FETCH (BODYSTRUCTURE ((\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 99 (NIL \"in\" NIL "
     "NIL NIL NIL NIL "
     "NIL NIL NIL) ((\"text\" \"plain\" NIL NIL NIL \"7bit\" 1 1) \"mixed\") 5) \"mixed\"))\r\n",
     "1 FETCH body=[TEXT multipart/mixed [1 message/rfc822 size=99 lines=5 encoding=7bit "
     "envelope[date=nil "
     "subject=\"in\" in_reply_to=nil message_id=nil] [1.TEXT multipart/mixed [1.1 text/plain "
     "size=1 "
     "lines=1 encoding=7bit]]]]"},
    {"* 1 FETCH (BODYSTRUCTURE (\"ALTERNATIVE\" (\"BOUNDARY\" \"x\") NIL NIL))\r\n",
     "1 FETCH body=[TEXT multipart/alternative (\"boundary\" \"x\")]"},
    {"* 1 FETCH (BODYSTRUCTURE (NIL NIL NIL NIL NIL \"7BIT\" -1 NIL) UID 1)\r\n",
     "1 FETCH uid=1 body=[1 application/octet-stream encoding=7bit]"},
    {"* 1 FETCH (BODYSTRUCTURE (\"text\" \"plain\" \"oops\" NIL NIL \"7BIT\" 1) UID 1)\r\n",
     "1 FETCH uid=1 body=[1 text/plain size=1 encoding=7bit]"},
    {"* 1 FETCH (BODYSTRUCTURE () UID 1)\r\n", "1 FETCH uid=1 body=[1 application/octet-stream]"},
    {"* 1 FETCH (BODYSTRUCTURE NIL UID 1)\r\n", "1 FETCH uid=1 raw=(bodystructure=NIL) defects=1"},
};

static const struct lm_limits limits = LM_LIMITS_DEFAULT;

/* Frames and parses `in`, fed `step` octets at a time. False: failed, or not whole. */
static bool read_one(struct lm_str in, size_t step, struct lm_arena *a, struct show *s) {
  struct lm_imap_frame f = {.at = 0};
  struct lm_imap_how how = {false};
  struct lm_imap_resp resp;
  struct lm_cursor c;
  size_t fed = 0, size = 0;
  enum lm_frame_got got = LM_FRAME_MORE;
  while (got == LM_FRAME_MORE && fed < in.n) {
    fed = fed + step < in.n ? fed + step : in.n;
    got = lm_imap_frame(&f, (struct lm_str){in.p, fed}, &limits, &size);
  }
  if (got != LM_FRAME_WHOLE || size != in.n) return false;
  c = lm_cursor((struct lm_str){in.p, size});
  c.arena = a;
  c.limits = &limits;
  s->n = 0;
  s->text[0] = '\0';
  if (!lm_imap_resp(&c, &how, &resp)) return false;
  if (c.p != c.end) return false;
  show_resp(s, &resp);
  return true;
}

/* A copy that ends exactly where the memory does, so that a sanitizer sees a read past the end. */
static bool read_cut(const char *in, size_t n, struct lm_arena *a, struct show *s) {
  char *copy = malloc(n ? n : 1);
  bool ok;
  memcpy(copy, in, n);
  ok = read_one((struct lm_str){copy, n}, n ? n : 1, a, s);
  free(copy);
  return ok;
}

static void check(size_t row, struct lm_arena *a) {
  struct lm_str in = {table[row].in, strlen(table[row].in)};
  static const size_t steps[] = {1, 3, 100000};
  static struct show s;
  size_t i;
  for (i = 0; i < sizeof steps / sizeof *steps; i++) {
    bool ok = read_one(in, steps[i], a, &s);
    const char *want = table[row].want ? table[row].want : "(failure)";
    const char *got = ok ? s.text : "(failure)";
    if (!EXPECT_ROW(strcmp(got, want) == 0, "what it means", in.p)) {
      fprintf(stderr, "  row %zu, %zu at a time\n  got  %s\n  want %s\n", row, steps[i], got, want);
    }
  }
  for (i = 0; i < in.n; i++) read_cut(in.p, i, a, &s);
}

/* Lists deeper than the limit fail by name, whatever holds them. */
static void check_depth(struct lm_arena *a) {
  static const char *const heads[] = {"* XFOO ", "* 1 FETCH (XFOO ", "* 1 FETCH (BODYSTRUCTURE "};
  char in[512];
  size_t i;
  for (i = 0; i < sizeof heads / sizeof *heads; i++) {
    struct lm_imap_how how = {false};
    struct lm_imap_resp resp;
    struct lm_cursor c;
    size_t n = strlen(heads[i]);
    memcpy(in, heads[i], n);
    memset(in + n, '(', 101);
    memset(in + n + 101, ')', 102);
    memcpy(in + n + 203, "\r\n", 2);
    c = lm_cursor((struct lm_str){in, n + 205});
    c.arena = a;
    c.limits = &limits;
    EXPECT_ROW(!lm_imap_resp(&c, &how, &resp) && c.code == LM_E_LIMIT &&
                   strcmp(c.expected, "depth") == 0,
               "held to the limit of nesting", heads[i]);
  }
}

int main(void) {
  struct lm_arena a = {NULL, 0};
  size_t i;
  for (i = 0; i < sizeof table / sizeof *table; i++) {
    check(i, &a);
    lm_arena_reset(&a);
  }
  check_depth(&a);
  lm_arena_free(&a);
  return check_end();
}
