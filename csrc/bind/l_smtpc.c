/*
** l_smtpc.c: SMTP client sessions for Lua: commands in, events out.
**
** The policy (which command when, what an error is called, where content comes from) is
** lua/mail/smtp/. Transactions are made in l_smtp_txn.c.
*/
#include <string.h>

#include "base/chars.h"
#include "bind/bind.h"
#include "bind/l_smtp.h"
#include "bind/open.h"
#include "smtp/client.h"

static struct lm_smtpc *self(lua_State *L) {
  return lm_boxself(L)->session;
}

static int push_id(lua_State *L, struct lm_smtpc *s, uint32_t id) {
  return lm_push_id(L, id, lm_smtpc_refusal(s));
}

/* --- events ---------------------------------------------------------------------------------- */

static void push_nonempty(lua_State *L, struct lm_str s) {
  if (s.n) {
    lm_pushstr(L, s);
  } else {
    lua_pushnil(L);
  }
}

/* code, enhanced | nil, text */
static int push_reply(lua_State *L, const struct lm_smtp_reply *r) {
  lua_pushinteger(L, (lua_Integer)r->code);
  push_nonempty(L, lm_smtp_enhanced(r));
  lm_pushstr(L, r->text);
  return 3;
}

static void set_reply(lua_State *L, const struct lm_smtp_reply *r) {
  push_reply(L, r);
  lua_setfield(L, -4, "text");
  lua_setfield(L, -3, "enhanced");
  lua_setfield(L, -2, "code");
}

/* True where `what` stands in `text` at `i`. */
static bool stands_at(struct lm_str text, size_t i, struct lm_str what) {
  return what.n <= text.n - i && memcmp(text.p + i, what.p, what.n) == 0;
}

/* The word at `i`, up to a space or to what sets it off; it may be empty. */
static struct lm_str word_at(struct lm_str text, size_t i) {
  size_t n = 0;
  for (; i + n < text.n && text.p[i + n] > ' '; n++) {
    char c = text.p[i + n];
    if (c == ',' || c == ';' || c == ')' || c == '>') break;
  }
  return (struct lm_str){text.p + i, n};
}

/* The word in front of `i`; it may be empty. */
static struct lm_str word_before(struct lm_str text, size_t i) {
  size_t n = 0;
  while (n < i && text.p[i - n - 1] > ' ') n++;
  return (struct lm_str){text.p + i - n, n};
}

/* The name under which the server keeps the message, as Postfix, Exim, OpenSMTPD and others tell it: in
** this order where several do. */
static struct lm_str queue_id(struct lm_str text) {
  static const struct lm_str queued_as = {"queued as ", 10}, id_is = {"id=", 3};
  static const struct lm_str queued_mail = {"queued mail ", 12};
  static const struct lm_str accepted = {" Message accepted for delivery", 30};
  struct lm_str id = LM_STR(""), mail = id, before = id;
  size_t i;
  for (i = 0; i < text.n; i++) {
    switch (text.p[i]) {
    case 'q':
      if (stands_at(text, i, queued_as)) {
        struct lm_str word = word_at(text, i + queued_as.n);
        if (word.n) return word;
      }
      if (mail.n == 0 && stands_at(text, i, queued_mail)) mail = word_at(text, i + queued_mail.n);
      break;
    case 'i':
      if (id.n == 0 && stands_at(text, i, id_is)) id = word_at(text, i + id_is.n);
      break;
    case ' ':
      if (before.n == 0 && stands_at(text, i, accepted)) before = word_before(text, i);
      break;
    default: break;
    }
  }
  if (id.n) return id;
  return mail.n ? mail : before;
}

/* accepted = {address...}, rejected = {[address] = {code, enhanced, text}}, into the table on the top of
** the stack. From recipient `known` on a yes is not the last word, and left out. */
static void set_recipients(lua_State *L, const struct lm_smtp_txn *t, uint32_t known) {
  int accepted = 0;
  uint32_t i;
  lua_createtable(L, (int)t->accepted, 0);
  lua_createtable(L, 0, (int)(t->nrcpt - t->accepted));
  for (i = 0; i < t->nrcpt; i++) {
    struct lm_smtp_rcpt r = lm_smtp_txn_recipient(t, i);
    if (i >= known && lm_smtp_positive(&r.reply)) continue;
    lm_pushstr(L, r.address);
    if (lm_smtp_positive(&r.reply)) {
      lua_rawseti(L, -3, ++accepted);
      continue;
    }
    lua_createtable(L, 0, 3);
    set_reply(L, &r.reply);
    lua_rawset(L, -3);
  }
  lua_setfield(L, -3, "rejected");
  lua_setfield(L, -2, "accepted");
}

/* The receipt: {accepted =, rejected =, text, queue_id} */
static void push_receipt(lua_State *L, const struct lm_smtpc_event *ev) {
  lua_createtable(L, 0, 4);
  set_recipients(L, ev->txn, ev->txn->nrcpt);
  lm_pushstr(L, ev->reply.text);
  lua_setfield(L, -2, "text");
  push_nonempty(L, queue_id(ev->reply.text));
  lua_setfield(L, -2, "queue_id");
}

static const char *const stages[] = {"MAIL", "RCPT", "DATA", "DATA"};

/* "sent", id, true, receipt [, "RCPT": recipients were refused]
** | "sent", id, false, receipt, command, {code, enhanced, text} | nil */
static int push_sent(lua_State *L, const struct lm_smtpc_event *ev) {
  const struct lm_smtp_txn *t = ev->txn;
  bool good = t->accepted && !t->refused;
  bool told = t->accepted || t->stage == LM_SMTP_AT_MAIL;
  lua_pushliteral(L, "sent");
  lua_pushinteger(L, (lua_Integer)ev->id);
  lua_pushboolean(L, good);
  push_receipt(L, ev);
  if (good && t->accepted == t->nrcpt) return 4;
  if (good) {
    lua_pushliteral(L, "RCPT");
    return 5;
  }
  /* A server that refused all recipients refuses DATA only because of that. */
  lua_pushstring(L, t->refused && told ? stages[t->stage] : "RCPT");
  if (t->refused && told) {
    struct lm_smtp_reply failure = lm_smtp_txn_failure(t);
    lua_createtable(L, 0, 3);
    set_reply(L, &failure);
  } else {
    lua_pushnil(L);
  }
  return 6;
}

static int push_kind(lua_State *L, const char *kind, const struct lm_smtpc_event *ev) {
  lua_pushstring(L, kind);
  lua_pushinteger(L, (lua_Integer)ev->id);
  return 2;
}

static enum lm_status next(lua_State *L, struct lm_box *b, int *n_out) {
  struct lm_smtpc_event ev;
  enum lm_status status = lm_smtpc_next(b->session, &ev);
  if (status != LM_EVENT) return status;
  switch (ev.kind) {
  case LM_SMTPC_GREETING: *n_out = push_kind(L, "greeting", &ev) + push_reply(L, &ev.reply); break;
  case LM_SMTPC_DONE: *n_out = push_kind(L, "done", &ev) + push_reply(L, &ev.reply); break;
  case LM_SMTPC_BYE: *n_out = push_kind(L, "bye", &ev) + push_reply(L, &ev.reply); break;
  case LM_SMTPC_GO: *n_out = push_kind(L, "go", &ev); break;
  case LM_SMTPC_MOVED: *n_out = push_kind(L, "moved", &ev); break;
  case LM_SMTPC_STARTTLS: *n_out = push_kind(L, "starttls", &ev); break;
  case LM_SMTPC_ASK:
    *n_out = push_kind(L, "ask", &ev) + 1;
    if (ev.text.p) {
      lm_pushstr(L, ev.text);
    } else {
      lua_pushnil(L);
    }
    break;
  case LM_SMTPC_SENT:
    *n_out = push_sent(L, &ev);
    lm_box_release(L, b, ev.id);
    break;
  }
  return LM_EVENT;
}

/* --- commands -------------------------------------------------------------------------------- */

/* command(line) -> id | nil, reason: any command of one line and one reply */
static int command(lua_State *L) {
  struct lm_smtpc *s = self(L);
  return push_id(L, s, lm_smtpc_command(s, LM_SMTP_LINE, lm_boxstr(L, 2)));
}

static int ehlo(lua_State *L) {
  struct lm_smtpc *s = self(L);
  return push_id(L, s, lm_smtpc_command(s, LM_SMTP_EHLO, lm_boxstr(L, 2)));
}

static int helo(lua_State *L) {
  struct lm_smtpc *s = self(L);
  return push_id(L, s, lm_smtpc_command(s, LM_SMTP_HELO, lm_boxstr(L, 2)));
}

static int rset(lua_State *L) {
  struct lm_smtpc *s = self(L);
  return push_id(L, s, lm_smtpc_command(s, LM_SMTP_RSET, LM_NOSTR));
}

static int starttls(lua_State *L) {
  struct lm_smtpc *s = self(L);
  return push_id(L, s, lm_smtpc_command(s, LM_SMTP_START_TLS, LM_NOSTR));
}

static int quit(lua_State *L) {
  struct lm_smtpc *s = self(L);
  return push_id(L, s, lm_smtpc_quit(s));
}

/* auth(mechanism [, initial response]) -> id | nil, reason; events "ask" (challenge), "done" */
static int auth(lua_State *L) {
  struct lm_smtpc *s = self(L);
  struct lm_str mechanism = lm_boxstr(L, 2), initial = lm_optboxstr(L, 3);
  return push_id(L, s, lm_smtpc_auth(s, mechanism, lua_isnoneornil(L, 3) ? NULL : &initial));
}

/* answer(id, response | nil): nil cancels */
static int answer(lua_State *L) {
  struct lm_smtpc *s = self(L);
  struct lm_str response = lm_optboxstr(L, 3);
  bool ok = lm_smtpc_answer(s, (uint32_t)luaL_checkinteger(L, 2),
                            lua_isnoneornil(L, 3) ? NULL : &response);
  lua_pushboolean(L, ok);
  return 1;
}

/* abandon(id): as of every session; the message is let go too, for nothing reads it any more */
static int abandon_id(lua_State *L) {
  struct lm_box *b = lm_boxself(L);
  uint32_t id = (uint32_t)luaL_checkinteger(L, 2);
  lm_smtpc_abandon(b->session, id);
  lm_box_release(L, b, id);
  return 0;
}

/* --- content ------------------------------------------------------------------------------------- */

static int push_given(lua_State *L, enum lm_smtpc_content taken) {
  switch (taken) {
  case LM_SMTPC_TAKEN: lua_pushboolean(L, 1); return 1;
  case LM_SMTPC_EIGHT_BIT:
    lua_pushnil(L);
    lua_pushliteral(L, "unsupported");
    lua_pushliteral(L, "the message needs 8BITMIME, which the server lacks");
    return 3;
  case LM_SMTPC_BARE:
    lua_pushnil(L);
    lua_pushliteral(L, "invalid");
    lua_pushliteral(L, "the message has a CR or LF that is no line ending");
    return 3;
  default: return luaL_error(L, "give: no content is asked for");
  }
}

/* give(id, piece) -> true | nil, kind, reason */
static int give(lua_State *L) {
  struct lm_smtpc *s = self(L);
  return push_given(L, lm_smtpc_give(s, (uint32_t)luaL_checkinteger(L, 2), lm_boxstr(L, 3)));
}

/* give_end(id) -> true | nil, kind, reason: the content is whole */
static int give_end(lua_State *L) {
  return push_given(L, lm_smtpc_give_end(self(L), (uint32_t)luaL_checkinteger(L, 2)));
}

/* give_url(id, url, last): the server fetches this piece (BURL) */
static int give_url(lua_State *L) {
  struct lm_smtpc *s = self(L);
  uint32_t id = (uint32_t)luaL_checkinteger(L, 2);
  if (!lm_smtpc_give_url(s, id, lm_boxstr(L, 3), lua_toboolean(L, 4))) {
    return luaL_error(L, "give_url: no content is asked for, or no URL");
  }
  return 0;
}

/* do_without_chunking(): content goes by DATA, whatever the server offers */
static int do_without_chunking(lua_State *L) {
  lm_smtpc_do_without(self(L), LM_SMTP_CHUNKING | LM_SMTP_BINARYMIME);
  return 0;
}

/* is_unknown(id) -> boolean: the message left whole and was not answered */
static int is_unknown(lua_State *L) {
  lua_pushboolean(L, lm_smtpc_is_unknown(self(L), (uint32_t)luaL_checkinteger(L, 2)));
  return 1;
}

/* is_accepted(id) -> boolean: the message is not over, and a recipient of it was accepted */
static int is_accepted(lua_State *L) {
  lua_pushboolean(L, lm_smtpc_is_accepted(self(L), (uint32_t)luaL_checkinteger(L, 2)));
  return 1;
}

/* finals(id) -> {accepted =, rejected =, pending = {address...}} | nil: LMTP, where some recipients have their
** final reply, and those pending have none */
static int finals(lua_State *L) {
  struct lm_box *b = lm_boxself(L);
  const struct lm_smtp_txn *t = lm_smtpc_finals(b->session, (uint32_t)luaL_checkinteger(L, 2));
  int pending = 0;
  uint32_t i;
  if (t == NULL) return 0;
  lm_box_hold(L, b, finals);
  lua_createtable(L, 0, 3);
  set_recipients(L, t, t->final);
  lua_newtable(L);
  for (i = t->final; i < t->nrcpt; i++) {
    struct lm_smtp_rcpt r = lm_smtp_txn_recipient(t, i);
    if (!lm_smtp_positive(&r.reply)) continue;
    lm_pushstr(L, r.address);
    lua_rawseti(L, -2, ++pending);
  }
  lua_setfield(L, -2, "pending");
  return lm_box_let_go(L, b, 1);
}

static void push_upper(lua_State *L, struct lm_str s) {
  luaL_Buffer b;
  size_t i;
  luaL_buffinit(L, &b);
  for (i = 0; i < s.n; i++) luaL_addchar(&b, lm_upper(s.p[i]));
  luaL_pushresult(&b);
}

/* ehlo_table() -> {KEYWORD = parameters} of the last EHLO. A keyword that comes twice ("AUTH PLAIN",
** "AUTH=LOGIN") has the parameters of both. */
static int ehlo_table(lua_State *L) {
  struct lm_box *b = lm_boxself(L);
  struct lm_str text = lm_buf_str(&lm_smtpc_ehlo(b->session)->text), keyword, params;
  lm_box_hold(L, b, ehlo_table);
  lua_newtable(L);
  while (lm_smtp_ehlo_next(&text, &keyword, &params)) {
    push_upper(L, keyword);
    lua_pushvalue(L, -1);
    lua_rawget(L, -3);
    if (lua_isnil(L, -1)) {
      lua_pop(L, 1);
      lm_pushstr(L, params);
    } else {
      lua_pushliteral(L, " ");
      lm_pushstr(L, params);
      lua_concat(L, 3);
    }
    lua_rawset(L, -3);
  }
  return lm_box_let_go(L, b, 1);
}

/* --- parsing without a session ---------------------------------------------------------------- */

static void push_lines(lua_State *L, struct lm_str text) {
  int n = 0;
  lua_newtable(L);
  for (;;) {
    const char *lf = memchr(text.p, '\n', text.n);
    size_t length = lf ? (size_t)(lf - text.p) : text.n;
    lm_pushstr(L, (struct lm_str){text.p, length});
    lua_rawseti(L, -2, ++n);
    if (lf == NULL) return;
    text = (struct lm_str){lf + 1, text.n - length - 1};
  }
}

struct parser {
  struct lm_wire wire;
  struct lm_smtp_reader reader;
  int count; /* of replies so far */
};

static int parser_gc(lua_State *L) {
  struct parser *p = lm_checkself(L);
  lm_smtp_reader_free(&p->reader);
  lm_wire_free(&p->wire);
  memset(p, 0, sizeof *p);
  return 0;
}

/* Takes one reply into the table at `into`. */
static enum lm_status take_reply(lua_State *L, void *parser, int into) {
  static const struct lm_limits limits = LM_LIMITS_DEFAULT;
  struct parser *p = parser;
  struct lm_smtp_reply reply;
  enum lm_status status = lm_smtp_reply_next(&p->reader, &p->wire, &limits, &reply);
  if (status != LM_EVENT) return status;
  lua_createtable(L, 0, 3);
  lua_pushinteger(L, (lua_Integer)reply.code);
  lua_setfield(L, -2, "code");
  push_nonempty(L, lm_smtp_enhanced(&reply));
  lua_setfield(L, -2, "enhanced");
  push_lines(L, reply.text);
  lua_setfield(L, -2, "lines");
  lua_rawseti(L, into, ++p->count);
  return LM_EVENT;
}

/* core.smtp_parse(bytes [, chunk]) -> {{code=, enhanced=, lines={...}}...} | nil, kind, message */
static int parse(lua_State *L) {
  struct parser *p;
  lua_settop(L, 2);
  p = lm_newobject(L, sizeof *p, lua_upvalueindex(1));
  lm_wire_init(&p->wire);
  lua_newtable(L); /* 4: the replies */
  lm_feed_recorded(L, &p->wire, p, 4, take_reply);
  if (!lm_wire_failed(&p->wire) && (p->reader.code || lm_wire_input(&p->wire).n)) {
    lm_wire_fail(&p->wire, LM_E_CLOSED, "the end of a reply", lm_wire_input(&p->wire));
  }
  if (!lm_wire_failed(&p->wire)) return 1;
  lua_pushnil(L);
  return 1 + lm_push_error(L, lm_wire_error(&p->wire));
}

/* --- the class ------------------------------------------------------------------------------- */

static void abandon(void *session, uint32_t id) {
  lm_smtpc_abandon(session, id);
}
static void secured(void *session) {
  lm_smtpc_secured(session);
}
static void release(void *session) {
  lm_smtpc_free(session);
}

static const struct lm_box_type type = {next, abandon, secured, release};

/* core.smtp_session([limits [, "lmtp"]]) -> session */
static int newsession(lua_State *L) {
  struct lm_limits limits;
  struct lm_box *b;
  bool lmtp = lua_type(L, 2) == LUA_TSTRING && strcmp(lua_tostring(L, 2), "lmtp") == 0;
  lm_checklimits(L, 1, &limits);
  b = lm_newbox(L, &type, lua_upvalueindex(1));
  if ((b->session = lm_smtpc_new(&limits)) == NULL) return luaL_error(L, "out of memory");
  if (lmtp) lm_smtpc_speak_lmtp(b->session);
  b->link.wire = lm_smtpc_wire(b->session);
  return 1;
}

static const luaL_Reg methods[] = {{"raw_command", command},
                                   {"ehlo", ehlo},
                                   {"helo", helo},
                                   {"rset", rset},
                                   {"starttls", starttls},
                                   {"raw_quit", quit},
                                   {"auth", auth},
                                   {"answer", answer},
                                   {"abandon", abandon_id},
                                   {"transaction", lm_smtp_transaction},
                                   {"usual", lm_smtp_usual},
                                   {"give", give},
                                   {"give_end", give_end},
                                   {"give_url", give_url},
                                   {"do_without_chunking", do_without_chunking},
                                   {"is_unknown", is_unknown},
                                   {"finals", finals},
                                   {"is_accepted", is_accepted},
                                   {"ehlo_table", ehlo_table},
                                   {NULL, NULL}};

static const luaL_Reg makers[] = {{"smtp_session", newsession}, {NULL, NULL}};
static const luaL_Reg parsers[] = {{"smtp_parse", parse}, {NULL, NULL}};
static const luaL_Reg functions[] = {{"smtp_is_usual", lm_smtp_is_usual}, {NULL, NULL}};
static const luaL_Reg none[] = {{NULL, NULL}};
static const luaL_Reg parser_meta[] = {{"__gc", parser_gc}, {NULL, NULL}};

void lm_open_smtpc(lua_State *L) {
  luaL_setfuncs(L, functions, 0);
  lm_newboxclass(L, "smtp_class", "mail.smtp", methods);
  lua_getfield(L, -1, "smtp_class");
  luaL_setfuncs(L, makers, 1);
  lm_newclass(L, "smtp_parser_class", "mail.smtp_parser", none, parser_meta);
  lua_getfield(L, -1, "smtp_parser_class");
  luaL_setfuncs(L, parsers, 1);
}
