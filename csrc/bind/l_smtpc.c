/*
** l_smtpc.c: SMTP client sessions for Lua: commands in, events out.
**
** The policy (which command when, what an error is called, where content comes from) is
** lua/mail/smtp.lua. Addresses become part of a command line here, through mime/addr, and nowhere
** else.
*/
#include <string.h>

#include "base/chars.h"
#include "bind/bind.h"
#include "bind/open.h"
#include "mime/addr.h"
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
  push_nonempty(L, r->enhanced);
  lm_pushstr(L, r->text);
  return 3;
}

static void set_reply(lua_State *L, const struct lm_smtp_reply *r) {
  push_reply(L, r);
  lua_setfield(L, -4, "text");
  lua_setfield(L, -3, "enhanced");
  lua_setfield(L, -2, "code");
}

/* The word behind `before` in `text`, or empty. */
static struct lm_str word_behind(struct lm_str text, struct lm_str before) {
  size_t i, n = 0;
  for (i = 0; i + before.n <= text.n; i++) {
    if (memcmp(text.p + i, before.p, before.n) != 0) continue;
    i += before.n;
    while (i + n < text.n && text.p[i + n] > ' ' && !strchr(",;)>", text.p[i + n])) n++;
    return (struct lm_str){text.p + i, n};
  }
  return LM_STR("");
}

/* The name under which the server keeps the message, as Postfix, Exim and others tell it. */
static struct lm_str queue_id(struct lm_str text) {
  struct lm_str id = word_behind(text, LM_STR("queued as "));
  if (id.n == 0) id = word_behind(text, LM_STR("id="));
  if (id.n == 0) id = word_behind(text, LM_STR("queued mail "));
  return id;
}

/* The receipt: {accepted = {address...}, rejected = {[address] = {code, enhanced, text}}, text,
** queue_id} */
static void push_receipt(lua_State *L, const struct lm_smtpc_event *ev) {
  const struct lm_smtp_txn *t = ev->txn;
  int accepted = 0;
  uint32_t i;
  lua_createtable(L, 0, 4);
  lua_createtable(L, (int)t->accepted, 0);
  lua_createtable(L, 0, (int)(t->nrcpt - t->accepted));
  for (i = 0; i < t->nrcpt; i++) {
    struct lm_smtp_rcpt r = lm_smtp_txn_recipient(t, i);
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
  lm_pushstr(L, ev->reply.text);
  lua_setfield(L, -2, "text");
  push_nonempty(L, queue_id(ev->reply.text));
  lua_setfield(L, -2, "queue_id");
}

static const char *const stages[] = {"MAIL", "RCPT", "DATA", "DATA"};

/* "sent", id, true, receipt | "sent", id, false, receipt, command, {code, enhanced, text} | nil */
static int push_sent(lua_State *L, const struct lm_smtpc_event *ev) {
  const struct lm_smtp_txn *t = ev->txn;
  bool good = t->accepted && !t->refused;
  bool told = t->accepted || t->stage == LM_SMTP_AT_MAIL;
  lua_pushliteral(L, "sent");
  lua_pushinteger(L, (lua_Integer)ev->id);
  lua_pushboolean(L, good);
  push_receipt(L, ev);
  if (good) return 4;
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
  return push_id(L, s, lm_smtpc_command(s, LM_SMTP_LINE, lm_checkstr(L, 2)));
}

static int ehlo(lua_State *L) {
  struct lm_smtpc *s = self(L);
  return push_id(L, s, lm_smtpc_command(s, LM_SMTP_EHLO, lm_checkstr(L, 2)));
}

static int helo(lua_State *L) {
  struct lm_smtpc *s = self(L);
  return push_id(L, s, lm_smtpc_command(s, LM_SMTP_HELO, lm_checkstr(L, 2)));
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
  struct lm_str mechanism = lm_checkstr(L, 2), initial = lm_optstr(L, 3);
  return push_id(L, s, lm_smtpc_auth(s, mechanism, lua_isnoneornil(L, 3) ? NULL : &initial));
}

/* answer(id, response | nil): nil cancels */
static int answer(lua_State *L) {
  struct lm_smtpc *s = self(L);
  struct lm_str response = lm_optstr(L, 3);
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

/* --- transactions ---------------------------------------------------------------------------- */

/* What a transaction is made of, while it is being made. */
struct draft {
  struct lm_smtpc *session;
  struct lm_smtp_txn *txn;
  struct lm_str mail_params;
  struct lm_str rcpt_params;
  struct lm_str from;
  bool utf8; /* an address needs SMTPUTF8 */
  const char *why;
  const char *kind;      /* of the error; "invalid" where it is not set */
  struct lm_str culprit; /* the address that was refused */
};

static bool complain(struct draft *d, const char *kind, const char *why) {
  d->kind = kind;
  d->why = why;
  return false;
}

/* One address of the envelope, canonical, in the transaction's arena. */
static bool read_address(struct draft *d, struct lm_str text, enum lm_addr_null null,
                         struct lm_str *path_out) {
  struct lm_addr addr;
  if (!lm_addr_envelope(&d->txn->arena, text, null, &addr, &d->why)) {
    d->culprit = text;
    return false;
  }
  d->utf8 = d->utf8 || addr.utf8;
  return lm_addr_spec(&d->txn->arena, &addr, path_out);
}

static bool add_rcpt(struct draft *d, struct lm_str text) {
  struct lm_str path;
  return read_address(d, text, LM_ADDR_NULL_REFUSED, &path) &&
         lm_smtp_txn_rcpt(d->txn, path, d->rcpt_params, &d->why);
}

/* The text of the recipient on the top of the stack: a string, or a table with `address`. It stays
** anchored in the options while the draft is made. */
static bool rcpt_text(lua_State *L, struct lm_str *out) {
  if (lua_istable(L, -1)) {
    lua_getfield(L, -1, "address");
    lua_replace(L, -2);
  }
  if (lua_type(L, -1) != LUA_TSTRING) return false;
  out->p = lua_tolstring(L, -1, &out->n);
  return true;
}

/* Notes whether a recipient needs SMTPUTF8, which MAIL must say before any is named. */
static bool scan_rcpt(struct draft *d, struct lm_str text) {
  struct lm_str path;
  return lm_str_is_ascii(text) || read_address(d, text, LM_ADDR_NULL_REFUSED, &path);
}

/* Calls `use` for all recipients of the value at `i`: one, or an array. */
static bool each_rcpt(lua_State *L, int i, struct draft *d,
                      bool (*use)(struct draft *d, struct lm_str text)) {
  struct lm_str text;
  size_t n, k;
  bool one;
  lua_pushvalue(L, i);
  one = rcpt_text(L, &text);
  lua_pop(L, 1);
  if (one) return use(d, text);
  if (!lua_istable(L, i))
    return complain(d, "misuse", "option 'to' must be an address or an array");
  n = lua_rawlen(L, i);
  if (n == 0) return complain(d, "invalid", "no recipient");
  for (k = 1; k <= n; k++) {
    bool ok;
    lua_rawgeti(L, i, (int)k);
    ok = rcpt_text(L, &text);
    lua_pop(L, 1);
    if (!ok) return complain(d, "misuse", "option 'to' must hold addresses");
    if (!use(d, text)) return false;
  }
  return true;
}

/* The header of a message: up to its first empty line. */
static struct lm_str header_of(struct lm_str message) {
  const char *p = message.p, *end = message.p + message.n;
  while (p < end) {
    const char *lf = memchr(p, '\n', (size_t)(end - p));
    if (lf == NULL || lf == p || (lf == p + 1 && *p == '\r')) break;
    p = lf + 1;
  }
  return (struct lm_str){message.p, (size_t)(p - message.p)};
}

/* Which extensions the message needs, and whether the server has them. `head` is what is known of
** the message: all of it, or its first piece. */
static bool check_extensions(struct draft *d, struct lm_str head, uint64_t size) {
  const struct lm_smtp_ehlo *e = lm_smtpc_ehlo(d->session);
  if (!lm_str_is_ascii(header_of(head))) d->utf8 = true;
  if (d->utf8 && !(e->has & LM_SMTP_SMTPUTF8)) {
    return complain(d, "unsupported", "the message needs SMTPUTF8, which the server lacks");
  }
  d->txn->seven_bit = !(e->has & LM_SMTP_8BITMIME);
  if (d->txn->seven_bit && !lm_str_is_ascii(head)) {
    return complain(d, "unsupported", "the message needs 8BITMIME, which the server lacks");
  }
  if (e->max_size && size > e->max_size) {
    return complain(d, "rejected", "the message is larger than the server takes (SIZE)");
  }
  return true;
}

static bool put_size(struct lm_buf *b, const struct lm_smtp_ehlo *e, uint64_t size) {
  char digits[20];
  size_t i = sizeof digits;
  if (!(e->has & LM_SMTP_SIZE) || size == 0) return true;
  do {
    digits[--i] = (char)('0' + size % 10);
  } while (size /= 10);
  return lm_buf_put(b, " SIZE=", 6) && lm_buf_put(b, digits + i, sizeof digits - i);
}

/* The parameters of MAIL: BODY (RFC 6152), SMTPUTF8 (RFC 6531), SIZE (RFC 1870), the caller's. */
static bool put_mail(struct draft *d, uint64_t size) {
  const struct lm_smtp_ehlo *e = lm_smtpc_ehlo(d->session);
  struct lm_buf params = {NULL, 0, 0, 0};
  bool ok = (d->txn->seven_bit || lm_buf_put(&params, " BODY=8BITMIME", 14)) &&
            (!d->utf8 || lm_buf_put(&params, " SMTPUTF8", 9)) && put_size(&params, e, size) &&
            lm_buf_put(&params, d->mail_params.p, d->mail_params.n);
  d->why = "out of memory";
  ok = ok && lm_smtp_txn_mail(d->txn, d->from, lm_buf_str(&params), &d->why);
  lm_buf_free(&params);
  return ok;
}

/* Reads the envelope at `i` = {from=, to=} into the draft's transaction. */
static bool read_envelope(lua_State *L, int i, struct draft *d, struct lm_str head, uint64_t size) {
  struct lm_str from;
  bool ok;
  lua_getfield(L, i, "from");
  lua_getfield(L, i, "to");
  lua_pushvalue(L, -2);
  ok = rcpt_text(L, &from);
  lua_pop(L, 1);
  if (!ok) return complain(d, "misuse", "option 'from' must be an address");
  if (!read_address(d, from, LM_ADDR_NULL_TAKEN, &d->from)) return false;
  if (!each_rcpt(L, lua_gettop(L), d, scan_rcpt)) return false;
  if (!check_extensions(d, head, size) || !put_mail(d, size)) return false;
  if (!each_rcpt(L, lua_gettop(L), d, add_rcpt)) return false;
  if (!d->txn->chunked && !lm_smtp_txn_data(d->txn)) return complain(d, "io", "out of memory");
  return true;
}

/* transaction({from=, to=}, message | nil, size | nil, head, mail_params, rcpt_params)
**   -> id | nil, reason, kind, address that was refused | nothing
** Without a message its content is streamed: event "go", then give(). `head` is then its first
** piece, by which 8-bit text is told. Kind "misuse" means a bug of the caller. */
static int transaction(lua_State *L) {
  struct lm_box *b = lm_boxself(L);
  struct lm_str message = lm_optstr(L, 3), head = lm_optstr(L, 5);
  uint64_t size = (uint64_t)luaL_optnumber(L, 4, (lua_Number)message.n);
  struct draft d;
  uint32_t id = 0;
  luaL_checktype(L, 2, LUA_TTABLE);
  memset(&d, 0, sizeof d);
  d.session = b->session;
  d.mail_params = lm_optstr(L, 6);
  d.rcpt_params = lm_optstr(L, 7);
  d.kind = "invalid";
  if ((d.txn = lm_smtpc_txn(d.session)) == NULL) return luaL_error(L, "out of memory");
  d.txn->chunked = (lm_smtpc_ehlo(d.session)->has & LM_SMTP_CHUNKING) != 0;
  d.txn->streamed = message.p == NULL;
  d.txn->text = message;
  if (read_envelope(L, 2, &d, message.p ? message : head, size)) {
    id = lm_smtpc_send(d.session, d.txn);
    d.why = lm_smtpc_refusal(d.session);
  }
  if (id && message.p) lm_box_anchor(L, b, id, 3);
  if (id) return lm_push_id(L, id, NULL);
  lm_push_id(L, 0, d.why);
  lua_pushstring(L, d.kind);
  if (d.culprit.p == NULL) return 3;
  lm_pushstr(L, d.culprit);
  return 4;
}

/* give(id, piece) -> true | nil, kind, reason */
static int give(lua_State *L) {
  struct lm_smtpc *s = self(L);
  switch (lm_smtpc_give(s, (uint32_t)luaL_checkinteger(L, 2), lm_checkstr(L, 3))) {
  case LM_SMTPC_TAKEN: lua_pushboolean(L, 1); return 1;
  case LM_SMTPC_EIGHT_BIT:
    lua_pushnil(L);
    lua_pushliteral(L, "unsupported");
    lua_pushliteral(L, "the message needs 8BITMIME, which the server lacks");
    return 3;
  default: return luaL_error(L, "give: no content is asked for");
  }
}

/* give_end(id): the content is whole */
static int give_end(lua_State *L) {
  if (!lm_smtpc_give_end(self(L), (uint32_t)luaL_checkinteger(L, 2))) {
    return luaL_error(L, "give_end: no content is asked for");
  }
  return 0;
}

/* is_unknown(id) -> boolean: the message left whole and was not answered */
static int is_unknown(lua_State *L) {
  lua_pushboolean(L, lm_smtpc_is_unknown(self(L), (uint32_t)luaL_checkinteger(L, 2)));
  return 1;
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
  struct lm_str text = lm_buf_str(&lm_smtpc_ehlo(self(L))->text), keyword, params;
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
  return 1;
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
  push_nonempty(L, reply.enhanced);
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
                                   {"transaction", transaction},
                                   {"give", give},
                                   {"give_end", give_end},
                                   {"is_unknown", is_unknown},
                                   {"ehlo_table", ehlo_table},
                                   {NULL, NULL}};

static const luaL_Reg makers[] = {{"smtp_session", newsession}, {NULL, NULL}};
static const luaL_Reg parsers[] = {{"smtp_parse", parse}, {NULL, NULL}};
static const luaL_Reg none[] = {{NULL, NULL}};
static const luaL_Reg parser_meta[] = {{"__gc", parser_gc}, {NULL, NULL}};

void lm_open_smtpc(lua_State *L) {
  lm_newboxclass(L, "smtp_class", "mail.smtp", methods);
  lua_getfield(L, -1, "smtp_class");
  luaL_setfuncs(L, makers, 1);
  lm_newclass(L, "smtp_parser_class", "mail.smtp_parser", none, parser_meta);
  lua_getfield(L, -1, "smtp_parser_class");
  luaL_setfuncs(L, parsers, 1);
}
