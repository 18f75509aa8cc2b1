/*
** command.c: commands as the caller builds them: the table of verbs, arguments, capabilities.
**
** The one place where an IMAP command line is put together; CR, LF and NUL never get into it
** outside of literals. What goes wrong on the way is kept in `refusal` until lm_imapc_end.
*/
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "imap/put.h"
#include "imap/seqset.h"
#include "imap/session.h"
#include "imap/utf7.h"

enum { COPY_MAX = 4096 }; /* literals up to this size are copied rather than lent */

/* --- the table ------------------------------------------------------------------------------------ */

#define IN_NOT_AUTH (1u << IMAPC_NOT_AUTHENTICATED)
#define IN_SELECTED (1u << IMAPC_SELECTED)
#define IN_AUTH (1u << IMAPC_AUTHENTICATED | IN_SELECTED)
#define IN_ANY (IN_NOT_AUTH | IN_AUTH)
#define ALONE (CMD_ALONE | CMD_ENTERS)
#define BY_SEQ (CMD_QUIET | CMD_BY_SEQ)
#define G_SELECT                                                                                   \
  (LM_IMAP_G_MAILBOX | LM_IMAP_G_CODE | LM_IMAP_G_EXPUNGE | LM_IMAP_G_FETCH | GROUP_EARLIER)
#define G_MOVE (LM_IMAP_G_CODE | LM_IMAP_G_EXPUNGE)
#define G_FETCH (LM_IMAP_G_FETCH | GROUP_EARLIER)
#define G_LIST (LM_IMAP_G_LIST | LM_IMAP_G_STATUS | LM_IMAP_G_ABOUT)
#define G_ALL 0xffffu

/* clang-format off */
static const struct lm_imapc_verb verbs[] = {
  /* verb                     legal in     flags        data that is its answer                 effect */
  {LM_NAME("UID FETCH"),      IN_SELECTED, 0,           G_FETCH,                                EFFECT_NONE},
  {LM_NAME("FETCH"),          IN_SELECTED, BY_SEQ,      G_FETCH,                                EFFECT_NONE},
  {LM_NAME("UID STORE"),      IN_SELECTED, 0,           LM_IMAP_G_FETCH,                        EFFECT_NONE},
  {LM_NAME("STORE"),          IN_SELECTED, BY_SEQ,      LM_IMAP_G_FETCH,                        EFFECT_NONE},
  {LM_NAME("UID SEARCH"),     IN_SELECTED, 0,           LM_IMAP_G_SEARCH,                       EFFECT_NONE},
  {LM_NAME("SEARCH"),         IN_SELECTED, BY_SEQ,      LM_IMAP_G_SEARCH,                       EFFECT_NONE},
  {LM_NAME("UID SORT"),       IN_SELECTED, 0,           LM_IMAP_G_SEARCH,                       EFFECT_NONE},
  {LM_NAME("SORT"),           IN_SELECTED, CMD_BY_SEQ,  LM_IMAP_G_SEARCH,                       EFFECT_NONE},
  {LM_NAME("UID THREAD"),     IN_SELECTED, 0,           LM_IMAP_G_SEARCH,                       EFFECT_NONE},
  {LM_NAME("THREAD"),         IN_SELECTED, CMD_BY_SEQ,  LM_IMAP_G_SEARCH,                       EFFECT_NONE},
  {LM_NAME("ESEARCH"),        IN_AUTH,     0,           LM_IMAP_G_SEARCH,                       EFFECT_NONE},
  {LM_NAME("CANCELUPDATE"),   IN_SELECTED, 0,           0,                                      EFFECT_NONE},
  {LM_NAME("UID COPY"),       IN_SELECTED, 0,           LM_IMAP_G_CODE,                         EFFECT_NONE},
  {LM_NAME("COPY"),           IN_SELECTED, CMD_BY_SEQ,  LM_IMAP_G_CODE,                         EFFECT_NONE},
  {LM_NAME("UID MOVE"),       IN_SELECTED, 0,           G_MOVE,                                 EFFECT_NONE},
  {LM_NAME("MOVE"),           IN_SELECTED, CMD_BY_SEQ,  G_MOVE,                                 EFFECT_NONE},
  {LM_NAME("UID EXPUNGE"),    IN_SELECTED, 0,           G_MOVE,                                 EFFECT_NONE},
  {LM_NAME("EXPUNGE"),        IN_SELECTED, 0,           G_MOVE,                                 EFFECT_NONE},
  {LM_NAME("UID REPLACE"),    IN_SELECTED, 0,           G_MOVE,                                 EFFECT_NONE},
  {LM_NAME("REPLACE"),        IN_SELECTED, CMD_BY_SEQ,  G_MOVE,                                 EFFECT_NONE},
  {LM_NAME("CHECK"),          IN_SELECTED, 0,           0,                                      EFFECT_NONE},
  {LM_NAME("CLOSE"),          IN_SELECTED, ALONE,       0,                                      EFFECT_CLOSE},
  {LM_NAME("UNSELECT"),       IN_SELECTED, ALONE,       0,                                      EFFECT_CLOSE},
  {LM_NAME("NOOP"),           IN_ANY,      0,           0,                                      EFFECT_NONE},
  {LM_NAME("CAPABILITY"),     IN_ANY,      0,           LM_IMAP_G_CAPABILITY,                   EFFECT_NONE},
  {LM_NAME("ID"),             IN_ANY,      0,           LM_IMAP_G_OTHER,                        EFFECT_NONE},
  {LM_NAME("LOGOUT"),         IN_ANY,      ALONE,       0,                                      EFFECT_LOGOUT},
  {LM_NAME("SELECT"),         IN_AUTH,     ALONE,       G_SELECT,                               EFFECT_SELECT},
  {LM_NAME("EXAMINE"),        IN_AUTH,     ALONE,       G_SELECT,                               EFFECT_SELECT},
  {LM_NAME("LIST"),           IN_AUTH,     0,           G_LIST,                                 EFFECT_NONE},
  {LM_NAME("LSUB"),           IN_AUTH,     0,           LM_IMAP_G_LIST,                         EFFECT_NONE},
  {LM_NAME("XLIST"),          IN_AUTH,     0,           LM_IMAP_G_LIST,                         EFFECT_NONE},
  {LM_NAME("STATUS"),         IN_AUTH,     0,           LM_IMAP_G_STATUS,                       EFFECT_NONE},
  {LM_NAME("NAMESPACE"),      IN_AUTH,     0,           LM_IMAP_G_OTHER,                        EFFECT_NONE},
  {LM_NAME("GETQUOTA"),       IN_AUTH,     0,           LM_IMAP_G_OTHER,                        EFFECT_NONE},
  {LM_NAME("GETQUOTAROOT"),   IN_AUTH,     0,           LM_IMAP_G_OTHER,                        EFFECT_NONE},
  {LM_NAME("SETQUOTA"),       IN_AUTH,     0,           LM_IMAP_G_OTHER,                        EFFECT_NONE},
  {LM_NAME("GETACL"),         IN_AUTH,     0,           LM_IMAP_G_ABOUT,                        EFFECT_NONE},
  {LM_NAME("LISTRIGHTS"),     IN_AUTH,     0,           LM_IMAP_G_ABOUT,                        EFFECT_NONE},
  {LM_NAME("MYRIGHTS"),       IN_AUTH,     0,           LM_IMAP_G_ABOUT,                        EFFECT_NONE},
  {LM_NAME("SETACL"),         IN_AUTH,     0,           0,                                      EFFECT_NONE},
  {LM_NAME("DELETEACL"),      IN_AUTH,     0,           0,                                      EFFECT_NONE},
  {LM_NAME("GETMETADATA"),    IN_AUTH,     0,           LM_IMAP_G_ABOUT,                        EFFECT_NONE},
  {LM_NAME("SETMETADATA"),    IN_AUTH,     0,           0,                                      EFFECT_NONE},
  {LM_NAME("CREATE"),         IN_AUTH,     0,           LM_IMAP_G_CODE,                         EFFECT_NONE},
  {LM_NAME("DELETE"),         IN_AUTH,     0,           LM_IMAP_G_CODE,                         EFFECT_NONE},
  {LM_NAME("RENAME"),         IN_AUTH,     0,           LM_IMAP_G_CODE,                         EFFECT_NONE},
  {LM_NAME("SUBSCRIBE"),      IN_AUTH,     0,           0,                                      EFFECT_NONE},
  {LM_NAME("UNSUBSCRIBE"),    IN_AUTH,     0,           0,                                      EFFECT_NONE},
  {LM_NAME("APPEND"),         IN_AUTH,     0,           LM_IMAP_G_CODE,                         EFFECT_NONE},
  {LM_NAME("GENURLAUTH"),     IN_AUTH,     0,           LM_IMAP_G_OTHER,                        EFFECT_NONE},
  {LM_NAME("URLFETCH"),       IN_AUTH,     0,           LM_IMAP_G_OTHER,                        EFFECT_NONE},
  {LM_NAME("RESETKEY"),       IN_AUTH,     0,           LM_IMAP_G_CODE,                         EFFECT_NONE},
  {LM_NAME("GETJMAPACCESS"),  IN_AUTH,     0,           LM_IMAP_G_OTHER,                        EFFECT_NONE},
  {LM_NAME("ENABLE"),         IN_AUTH,     CMD_ALONE,   LM_IMAP_G_ENABLED,                      EFFECT_NONE},
  {LM_NAME("NOTIFY"),         IN_AUTH,     CMD_ALONE,   LM_IMAP_G_STATUS,                       EFFECT_NOTIFY},
  {LM_NAME("COMPRESS"),       IN_AUTH,     ALONE,       0,                                      EFFECT_COMPRESS},
  {LM_NAME("LANGUAGE"),       IN_ANY,      CMD_ALONE,   LM_IMAP_G_OTHER,                        EFFECT_NONE},
  {LM_NAME("UNAUTHENTICATE"), IN_AUTH,     ALONE,       0,                                      EFFECT_UNAUTHENTICATE},
  {LM_NAME("STARTTLS"),       IN_NOT_AUTH, ALONE,       0,                                      EFFECT_STARTTLS},
  {LM_NAME("LOGIN"),          IN_NOT_AUTH, ALONE,       LM_IMAP_G_CAPABILITY,                   EFFECT_LOGIN},
  {LM_NAME("AUTHENTICATE"),   IN_NOT_AUTH, ALONE,       LM_IMAP_G_CAPABILITY,                   EFFECT_AUTHENTICATE},
  {{NULL, 0},                 IN_ANY,      ALONE,       G_ALL,                                  EFFECT_NONE},
};
/* clang-format on */

static const struct lm_imapc_verb *find_verb(struct lm_str name) {
  const struct lm_imapc_verb *v = verbs;
  while (v->name.n && !lm_str_ieq(v->name, name)) v++;
  return v;
}

/* --- refusing -------------------------------------------------------------------------------------- */

uint32_t lm_imapc_refuse(struct lm_imapc *s, const char *why) {
  if (s->refusal == NULL) s->refusal = why;
  return 0;
}

const char *lm_imapc_refusal(const struct lm_imapc *s) {
  return s->refusal ? s->refusal : "";
}

/* Takes the result of an append: memory is the only reason for it to fail. */
static void need(struct lm_imapc *s, bool ok) {
  if (!ok) lm_imapc_refuse(s, "out of memory");
}

void lm_imapc_cmd_free(struct lm_imapc_cmd *cmd) {
  if (cmd == NULL) return;
  if (cmd->options & LM_IMAPC_SECRET) {
    lm_buf_wipe(&cmd->text);
    lm_buf_wipe(&cmd->initial);
  }
  lm_buf_free(&cmd->text);
  lm_buf_free(&cmd->initial);
  lm_seqset_free(&cmd->set);
  lm_buf_free(&cmd->early);
  free(cmd->stops);
  free(cmd);
}

struct lm_imapc_cmd *lm_imapc_find(const struct lm_imapc *s, uint32_t id) {
  struct lm_imapc_cmd *cmd = s->first;
  while (cmd && cmd->id != id) cmd = cmd->next;
  return cmd;
}

void lm_imapc_unnumbered(struct lm_imapc *s, bool on) {
  s->unnumbered = on;
}

/* An EXPUNGE has come: commands that wait and were made with the old numbers must not go out. */
void lm_imapc_numbers_moved(struct lm_imapc *s) {
  struct lm_imapc_cmd *cmd;
  for (cmd = s->send; cmd; cmd = cmd->next) cmd->moved |= cmd->phase == PHASE_QUEUED;
}

/* --- begin ------------------------------------------------------------------------------------------ */

bool lm_imapc_tag_prefix(struct lm_imapc *s, struct lm_str prefix) {
  size_t i;
  if (s->prefix_fixed || prefix.n == 0 || prefix.n >= sizeof s->prefix) return false;
  for (i = 0; i < prefix.n; i++) {
    if (!lm_is(prefix.p[i], LM_ALPHA)) return false;
  }
  memcpy(s->prefix, prefix.p, prefix.n);
  s->prefix[prefix.n] = '\0';
  return true;
}

bool lm_imapc_tag(struct lm_imapc *s, uint32_t id, struct lm_buf *out) {
  return lm_imapc_put_tag(s, out, id);
}

bool lm_imapc_put_tag(struct lm_imapc *s, struct lm_buf *b, uint32_t id) {
  s->prefix_fixed = true;
  return lm_buf_put(b, s->prefix, strlen(s->prefix)) && lm_buf_put_u64(b, id);
}

/* True where a command ahead may still change the state: the server will judge. */
static bool state_is_open(const struct lm_imapc *s) {
  const struct lm_imapc_cmd *cmd;
  for (cmd = s->first; cmd; cmd = cmd->next) {
    if (cmd->verb->flags & CMD_ENTERS) return true;
  }
  return s->state == IMAPC_GREETING;
}

static bool is_verb(struct lm_str verb) {
  size_t i;
  for (i = 0; i < verb.n; i++) {
    if (!lm_is(verb.p[i], LM_IMAP_ATOM) && verb.p[i] != ' ') return false;
  }
  return verb.n > 0 && verb.p[0] != ' ';
}

static const char *why_not(const struct lm_imapc *s, const struct lm_imapc_verb *verb,
                           struct lm_str name) {
  if (lm_wire_failed(&s->wire)) return "session has failed";
  if (s->state == IMAPC_LOGOUT || s->over) return "session is over";
  if (!is_verb(name)) return "command is no atom";
  if (LM_IS(name, "IDLE")) return "IDLE is a mode, not a command";
  if ((verb->flags & CMD_BY_SEQ) && (s->uidonly || s->unnumbered)) {
    return "message numbers mean nothing now (UIDONLY or NOTIFY): use UIDs";
  }
  if (verb->effect == EFFECT_LOGIN && (s->known & KNOWS_NO_LOGIN)) {
    return "the server forbids LOGIN (LOGINDISABLED)";
  }
  if (!state_is_open(s) && (verb->states & 1u << s->state) == 0) {
    return verb->states == IN_SELECTED && s->state == IMAPC_AUTHENTICATED
               ? "no mailbox is selected"
               : "wrong state for this command";
  }
  return NULL;
}

void lm_imapc_begin(struct lm_imapc *s, struct lm_str verb, unsigned options) {
  struct lm_imapc_cmd *cmd;
  lm_imapc_cmd_free(s->building);
  s->building = NULL;
  s->refusal = NULL;
  if ((cmd = calloc(1, sizeof *cmd)) == NULL) {
    lm_imapc_refuse(s, "out of memory");
    return;
  }
  s->building = cmd;
  cmd->verb = find_verb(verb);
  cmd->options = options;
  if (cmd->verb->effect == EFFECT_LOGIN || cmd->verb->effect == EFFECT_AUTHENTICATE) {
    cmd->options |= LM_IMAPC_SECRET;
  }
  cmd->id = lm_imapc_next_id(s);
  s->refusal = why_not(s, cmd->verb, verb);
  if (s->refusal) return;
  need(s, lm_imapc_put_tag(s, &cmd->text, cmd->id) && lm_buf_putc(&cmd->text, ' ') &&
              lm_buf_puts(&cmd->text, verb));
}

/* --- arguments -------------------------------------------------------------------------------------- */

/* The text of the command being built, with a space where the next argument needs one; NULL where
** there is none, or it was refused. */
static struct lm_buf *argument(struct lm_imapc *s) {
  struct lm_buf *b = s->building ? &s->building->text : NULL;
  if (b == NULL || s->refusal) return NULL;
  if (b->p[b->end - 1] != '(') need(s, lm_buf_putc(b, ' '));
  return s->refusal ? NULL : b;
}

void lm_imapc_text(struct lm_imapc *s, struct lm_str text) {
  struct lm_buf *b;
  if (lm_str_breaks_line(text)) {
    lm_imapc_refuse(s, "CR, LF or NUL in an argument");
  } else if ((b = argument(s)) != NULL) {
    need(s, lm_buf_puts(b, text));
    s->building->returns |= text.n > 6 && lm_str_ieq((struct lm_str){text.p, 6}, LM_STR("RETURN"));
  }
}

void lm_imapc_number(struct lm_imapc *s, uint64_t n) {
  struct lm_buf *b = argument(s);
  if (b) need(s, lm_buf_put_u64(b, n));
}

void lm_imapc_set(struct lm_imapc *s, struct lm_str set) {
  if (!lm_seqset_valid(set) && !lm_str_eq(set, LM_STR("$"))) {
    lm_imapc_refuse(s, "no set of message numbers");
    return;
  }
  lm_imapc_text(s, set);
  if (s->building == NULL || s->refusal) return;
  need(s, lm_imapc_keep_set(s->building, set));
  s->building->numbers |= (s->building->verb->flags & CMD_BY_SEQ) && !lm_str_eq(set, LM_STR("$")) &&
                          !lm_str_eq(set, LM_STR("1:*"));
}

void lm_imapc_open(struct lm_imapc *s) {
  struct lm_buf *b = argument(s);
  if (b) need(s, lm_buf_putc(b, '('));
}

void lm_imapc_close(struct lm_imapc *s) {
  if (s->building && !s->refusal) need(s, lm_buf_putc(&s->building->text, ')'));
}

void lm_imapc_date(struct lm_imapc *s, int64_t seconds) {
  struct lm_buf *b = argument(s);
  if (b && !lm_put_date_time(b, seconds)) lm_imapc_refuse(s, "date out of range");
}

/* --- literals --------------------------------------------------------------------------------------- */

static enum lm_put_nonsync nonsync(const struct lm_imapc *s) {
  if (s->known & KNOWS_PLUS) return LM_PUT_PLUS;
  return s->known & KNOWS_MINUS ? LM_PUT_MINUS : LM_PUT_SYNC;
}

static struct lm_imapc_stop *add_stop(struct lm_imapc *s, enum lm_imapc_stop_kind kind) {
  struct lm_imapc_cmd *cmd = s->building;
  struct lm_imapc_stop *stops;
  if (cmd->stop_n % 8 == 0) {
    stops = realloc(cmd->stops, (cmd->stop_n + 8) * sizeof *stops);
    if (stops == NULL) {
      lm_imapc_refuse(s, "out of memory");
      return NULL;
    }
    cmd->stops = stops;
  }
  stops = &cmd->stops[cmd->stop_n++];
  *stops = (struct lm_imapc_stop){.kind = kind, .at = cmd->text.end};
  return stops;
}

/* The announcement, and the wait for "+" where one is due. False: refused. */
static bool literal_head(struct lm_imapc *s, uint64_t n, enum lm_imapc_form form) {
  bool wait = !lm_put_needs_no_wait(nonsync(s), n);
  struct lm_buf *b = argument(s);
  if (b == NULL) return false;
  need(s, lm_put_literal_head(b, n, form == LM_IMAPC_LITERAL8, wait));
  return s->refusal == NULL && (!wait || add_stop(s, STOP_WAIT));
}

void lm_imapc_literal(struct lm_imapc *s, struct lm_str bytes, enum lm_imapc_form form) {
  struct lm_imapc_stop *stop;
  if (form == LM_IMAPC_LITERAL && bytes.n && memchr(bytes.p, '\0', bytes.n)) {
    lm_imapc_refuse(s, "NUL in a literal");
    return;
  }
  if (!literal_head(s, bytes.n, form)) return;
  if (bytes.n <= COPY_MAX) {
    need(s, lm_buf_puts(&s->building->text, bytes));
  } else if ((stop = add_stop(s, STOP_LENT)) != NULL) {
    stop->lent = bytes;
  }
}

void lm_imapc_stream(struct lm_imapc *s, uint64_t size, enum lm_imapc_form form) {
  struct lm_imapc_stop *stop;
  if (!literal_head(s, size, form)) return;
  if ((stop = add_stop(s, STOP_CONTENT)) == NULL) return;
  stop->size = size;
  stop->text = form == LM_IMAPC_LITERAL;
}

/* A literal whose octets are copied whatever their number: strings are short. */
static void copied_literal(struct lm_imapc *s, struct lm_str text) {
  if (text.n && memchr(text.p, '\0', text.n)) {
    lm_imapc_refuse(s, "NUL in a string");
  } else if (literal_head(s, text.n, LM_IMAPC_LITERAL)) {
    need(s, lm_buf_puts(&s->building->text, text));
  }
}

static void put_as(struct lm_imapc *s, struct lm_str text, enum lm_put_form form) {
  struct lm_buf *b;
  if (form == LM_PUT_LITERAL) {
    copied_literal(s, text);
  } else if ((b = argument(s)) != NULL) {
    need(s, form == LM_PUT_ATOM ? lm_buf_puts(b, text) : lm_put_quoted(b, text));
  }
}

void lm_imapc_astring(struct lm_imapc *s, struct lm_str text) {
  put_as(s, text, lm_put_astring_form(text, s->utf8));
}

void lm_imapc_string(struct lm_imapc *s, struct lm_str text) {
  put_as(s, text, lm_put_string_form(text, s->utf8));
}

void lm_imapc_mailbox(struct lm_imapc *s, struct lm_str utf8) {
  struct lm_buf name = {NULL, 0, 0, 0};
  enum lm_utf7 got;
  if (lm_str_breaks_line(utf8)) {
    lm_imapc_refuse(s, "CR, LF or NUL in a mailbox name");
    return;
  }
  got = lm_utf7_encode(&name, utf8);
  if (got == LM_UTF7_BAD) {
    lm_imapc_refuse(s, "mailbox name is not UTF-8");
  } else if (got == LM_UTF7_MEMORY) {
    lm_imapc_refuse(s, "out of memory");
  } else {
    lm_imapc_astring(s, s->utf8 ? utf8 : lm_buf_str(&name));
    if (s->building) s->building->mailbox = lm_imapc_mailbox_mark(utf8);
  }
  lm_buf_free(&name);
}

/* --- end --------------------------------------------------------------------------------------------- */

static void enqueue(struct lm_imapc *s, struct lm_imapc_cmd *cmd) {
  if (s->last) {
    s->last->next = cmd;
  } else {
    s->first = cmd;
  }
  s->last = cmd;
  if (s->send == NULL) s->send = cmd;
  s->queued += lm_buf_len(&cmd->text);
}

uint32_t lm_imapc_end(struct lm_imapc *s) {
  struct lm_imapc_cmd *cmd = s->building;
  if (cmd == NULL && s->refusal == NULL) s->refusal = "no command was begun";
  if (s->refusal == NULL) need(s, lm_buf_put(&cmd->text, "\r\n", 2));
  if (s->refusal == NULL && s->queued + lm_buf_len(&cmd->text) > s->limits.queue) {
    s->refusal = "too many commands wait to be sent";
  }
  s->building = NULL;
  if (s->refusal) {
    lm_imapc_cmd_free(cmd);
    return 0;
  }
  s->ids = cmd->id;
  enqueue(s, cmd);
  return cmd->id;
}

uint32_t lm_imapc_next_id(const struct lm_imapc *s) {
  return s->ids + 1;
}

uint32_t lm_imapc_login(struct lm_imapc *s, struct lm_str user, struct lm_str password) {
  lm_imapc_begin(s, LM_STR("LOGIN"), 0);
  if (lm_str_breaks_line(user) || lm_str_breaks_line(password)) {
    lm_imapc_refuse(s, "CR, LF or NUL in a user name or password");
  }
  lm_imapc_astring(s, user);
  lm_imapc_astring(s, password);
  return lm_imapc_end(s);
}

uint32_t lm_imapc_authenticate(struct lm_imapc *s, struct lm_str mechanism, struct lm_str initial) {
  struct lm_buf *b;
  lm_imapc_begin(s, LM_STR("AUTHENTICATE"), 0);
  if (!is_verb(mechanism)) lm_imapc_refuse(s, "mechanism is no atom");
  lm_imapc_text(s, mechanism);
  if (initial.p == NULL || s->refusal) return lm_imapc_end(s);
  if ((s->known & KNOWS_SASL_IR) == 0) {
    s->building->has_initial = true;
    need(s, lm_base64_encode(&s->building->initial, initial));
  } else if ((b = argument(s)) != NULL) {
    need(s, initial.n ? lm_base64_encode(b, initial) : lm_buf_putc(b, '='));
  }
  return lm_imapc_end(s);
}

/* --- capabilities ------------------------------------------------------------------------------------- */

static const struct {
  struct lm_str name;
  unsigned bit;
} knowledge[] = {
    {LM_NAME("IDLE"), KNOWS_IDLE},
    {LM_NAME("LITERAL+"), KNOWS_PLUS},
    {LM_NAME("LITERAL-"), KNOWS_MINUS},
    {LM_NAME("SASL-IR"), KNOWS_SASL_IR},
    {LM_NAME("LOGINDISABLED"), KNOWS_NO_LOGIN},
    {LM_NAME("IMAP4REV2"), KNOWS_IDLE | KNOWS_MINUS | KNOWS_SASL_IR}, /* RFC 9051 appendix E */
};

/* A server that speaks nothing but IMAP4rev2 has its names in UTF-8; one that speaks both keeps to
** modified UTF-7 until ENABLE (RFC 9051 §5.1). */
static void learn_names(struct lm_imapc *s) {
  if (lm_imapc_has(s, LM_STR("IMAP4REV2")) && !lm_imapc_has(s, LM_STR("IMAP4REV1"))) s->utf8 = true;
}

static void learn(struct lm_imapc *s, struct lm_str name) {
  size_t i;
  for (i = 0; i < sizeof knowledge / sizeof *knowledge; i++) {
    if (lm_str_eq(name, knowledge[i].name)) s->known |= knowledge[i].bit;
  }
}

void lm_imapc_forget_caps(struct lm_imapc *s) {
  free(s->caps);
  s->caps = NULL;
  s->caps_n = 0;
  s->known = 0;
}

void lm_imapc_set_caps(struct lm_imapc *s, const struct lm_imap_value *set) {
  const struct lm_imap_value *v;
  size_t n = 0;
  char *p;
  lm_imapc_forget_caps(s);
  for (v = set->u.list.first; v; v = v->next) n += v->u.text.n + 1;
  if (n == 0) return;
  if ((s->caps = p = malloc(n)) == NULL) {
    lm_wire_fail(&s->wire, LM_E_MEMORY, "room for capabilities", LM_NOSTR);
    return;
  }
  for (v = set->u.list.first; v; v = v->next) {
    memcpy(p, v->u.text.p, v->u.text.n);
    p += v->u.text.n;
    *p++ = ' ';
    learn(s, v->u.text);
  }
  s->caps_n = (uint32_t)(n - 1);
  learn_names(s);
  s->caps_renewed = true;
}

bool lm_imapc_utf8(const struct lm_imapc *s) {
  return s->utf8;
}

struct lm_str lm_imapc_capabilities(const struct lm_imapc *s) {
  return lm_imapc_str(s->caps ? s->caps : "", s->caps_n);
}

bool lm_imapc_has(const struct lm_imapc *s, struct lm_str name) {
  struct lm_cursor c = lm_cursor(lm_imapc_capabilities(s));
  while (!lm_at_end(&c)) {
    if (lm_str_ieq(lm_until(&c, ' '), name)) return true;
    lm_accept(&c, ' ');
  }
  return false;
}
