/*
** l_pop3c.c: class "mail.pop3", the POP3 client session for Lua; and core.pop3_parse.
**
** A method queues a command and returns its id; next() tells what became of it. Lists are read and
** turned into tables here, in one go.
*/
#include "bind/bind.h"
#include "bind/l_pop3.h"
#include "bind/open.h"
#include "pop3/client.h"

#include <string.h>

#include "base/chars.h"

static struct lm_pop3c *self(lua_State *L) {
  return lm_boxself(L)->session;
}

static int pushed(lua_State *L, struct lm_pop3c *s, uint32_t id) {
  return lm_push_id(L, id, lm_pop3c_refusal(s));
}

/* A whole number from `min` that fits 32 bits. */
static uint32_t checku32(lua_State *L, int i, lua_Number min) {
  lua_Number n = luaL_checknumber(L, i);
  luaL_argcheck(L, n >= min && n <= 4294967295.0 && n == (lua_Number)(uint32_t)n, i,
                min > 0 ? "a message number expected" : "a number of lines expected");
  return (uint32_t)n;
}

/* --- events: kind, id, ... -------------------------------------------------------------------- */

static size_t count_lines(struct lm_str list) {
  size_t n = 0;
  const char *end = list.p + list.n, *p = list.n ? list.p : end;
  while (p < end && (p = memchr(p, '\n', (size_t)(end - p))) != NULL) n++, p++;
  return n;
}

static void push_item(lua_State *L, const struct lm_pop3_item *item) {
  lua_createtable(L, 0, 2);
  lm_push_u64(L, item->number);
  lua_setfield(L, -2, "number");
  if (item->has_size) {
    lm_push_u64(L, item->size);
    lua_setfield(L, -2, "size");
  }
  if (item->uid.n) {
    lm_pushstr(L, item->uid);
    lua_setfield(L, -2, "uid");
  }
}

typedef bool item_fn(struct lm_str line, struct lm_pop3_item *item_out);

/* An array of the lines that name a message; others are passed over. */
static void push_listing(lua_State *L, struct lm_str list, item_fn *read) {
  struct lm_str line;
  struct lm_pop3_item item;
  int n = 0;
  lua_createtable(L, (int)count_lines(list), 0);
  while (lm_pop3_next_line(&list, &line)) {
    if (!read(line, &item) || item.number == 0) continue;
    push_item(L, &item);
    lua_rawseti(L, -2, ++n);
  }
}

static void push_upper(lua_State *L, struct lm_str s) {
  luaL_Buffer b;
  size_t i;
  luaL_buffinit(L, &b);
  for (i = 0; i < s.n; i++) luaL_addchar(&b, lm_upper(s.p[i]));
  luaL_pushresult(&b);
}

/* {NAME = parameters | true} */
static void push_capabilities(lua_State *L, struct lm_str list) {
  struct lm_str line, name, rest;
  lua_newtable(L);
  while (lm_pop3_next_line(&list, &line)) {
    if (!lm_pop3_capability(line, &name, &rest)) continue;
    push_upper(L, name);
    if (rest.n) {
      lm_pushstr(L, rest);
    } else {
      lua_pushboolean(L, 1);
    }
    lua_rawset(L, -3);
  }
}

/* language listing = tag [SP description], RFC 6856 §3.2 */
static void push_languages(lua_State *L, struct lm_str list) {
  struct lm_str line, tag, rest;
  int n = 0;
  lua_newtable(L);
  while (lm_pop3_next_line(&list, &line)) {
    if (!lm_pop3_capability(line, &tag, &rest)) continue;
    lua_createtable(L, 0, 2);
    lm_pushstr(L, tag);
    lua_setfield(L, -2, "tag");
    lm_pushstr(L, rest);
    lua_setfield(L, -2, "description");
    lua_rawseti(L, -2, ++n);
  }
}

/* STAT: count, size; each nil where the server did not say. */
static int push_stat(lua_State *L, struct lm_str text) {
  struct lm_pop3_item item;
  if (!lm_pop3_scan(text, &item)) return 0;
  lm_push_u64(L, item.number);
  if (!item.has_size) return 1;
  lm_push_u64(L, item.size);
  return 2;
}

static int push_one(lua_State *L, struct lm_str text, item_fn *read) {
  struct lm_pop3_item item;
  if (!read(text, &item)) return 0;
  push_item(L, &item);
  return 1;
}

/* What the answer is worth: the values behind its words. */
static int push_value(lua_State *L, const struct lm_pop3c_event *ev) {
  item_fn *read = ev->verb == LM_POP3_UIDL ? lm_pop3_unique : lm_pop3_scan;
  if (!ev->ok || ev->body == LM_POP3_STREAM) return 0;
  if (ev->raw || ev->body == LM_POP3_WHOLE) {
    if (ev->body == LM_POP3_NONE) return 0;
    lm_pushstr(L, ev->data);
    return 1;
  }
  switch (ev->verb) {
  case LM_POP3_STAT: return push_stat(L, ev->text);
  case LM_POP3_CAPA: push_capabilities(L, ev->data); return 1;
  case LM_POP3_LANG:
    if (ev->body == LM_POP3_NONE) return 0;
    push_languages(L, ev->data);
    return 1;
  case LM_POP3_LIST:
  case LM_POP3_UIDL:
    if (ev->body == LM_POP3_NONE) return push_one(L, ev->text, read);
    push_listing(L, ev->data, read);
    return 1;
  default: return 0;
  }
}

static void push_code(lua_State *L, struct lm_str code) {
  if (code.n) {
    push_upper(L, code);
  } else {
    lua_pushnil(L);
  }
}

/* "done", id, ok, text, response code | nil, value ... */
static int push_done(lua_State *L, const struct lm_pop3c_event *ev) {
  lua_pushliteral(L, "done");
  lua_pushinteger(L, (lua_Integer)ev->id);
  lua_pushboolean(L, ev->ok);
  lm_pushstr(L, ev->text);
  push_code(L, ev->code);
  return 5 + push_value(L, ev);
}

/* "greeting", 0, text, timestamp | nil; "bye", 0, text, response code | nil */
static int push_greeting(lua_State *L, const struct lm_pop3c_event *ev) {
  lua_pushstring(L, ev->kind == LM_POP3C_BYE ? "bye" : "greeting");
  lua_pushinteger(L, 0);
  lm_pushstr(L, ev->text);
  if (ev->kind == LM_POP3C_BYE) {
    push_code(L, ev->code);
  } else if (ev->timestamp.n) {
    lm_pushstr(L, ev->timestamp);
  } else {
    lua_pushnil(L);
  }
  return 4;
}

static int push_event(lua_State *L, const struct lm_pop3c_event *ev) {
  switch (ev->kind) {
  case LM_POP3C_GREETING:
  case LM_POP3C_BYE: return push_greeting(L, ev);
  case LM_POP3C_DATA: lua_pushliteral(L, "data"); break;
  case LM_POP3C_ASK: lua_pushliteral(L, "ask"); break;
  case LM_POP3C_STARTTLS: lua_pushliteral(L, "starttls"); break;
  default: return push_done(L, ev);
  }
  lua_pushinteger(L, (lua_Integer)ev->id);
  if (ev->kind == LM_POP3C_STARTTLS) return 2;
  if (ev->garbled) {
    lua_pushnil(L);
  } else {
    lm_pushstr(L, ev->data);
  }
  return 3;
}

static enum lm_status next(lua_State *L, struct lm_box *b, int *n_out) {
  struct lm_pop3c_event ev;
  enum lm_status status = lm_pop3c_next(b->session, &ev);
  if (status == LM_EVENT) {
    luaL_checkstack(L, 12, NULL);
    *n_out = push_event(L, &ev);
  }
  return status;
}

/* --- methods, in the order of the table below ------------------------------------------------- */

static int verb_alone(lua_State *L, enum lm_pop3_verb verb) {
  struct lm_pop3c *s = self(L);
  return pushed(L, s, lm_pop3c_simple(s, verb));
}

static int capa(lua_State *L) {
  return verb_alone(L, LM_POP3_CAPA);
}

static int stls(lua_State *L) {
  return verb_alone(L, LM_POP3_STLS);
}

/* user(name) */
static int user(lua_State *L) {
  struct lm_pop3c *s = self(L);
  return pushed(L, s, lm_pop3c_user(s, lm_boxstr(L, 2)));
}

/* pass(password) */
static int pass(lua_State *L) {
  struct lm_pop3c *s = self(L);
  return pushed(L, s, lm_pop3c_pass(s, lm_boxstr(L, 2)));
}

/* apop(user, secret) */
static int apop(lua_State *L) {
  struct lm_pop3c *s = self(L);
  return pushed(L, s, lm_pop3c_apop(s, lm_boxstr(L, 2), lm_boxstr(L, 3)));
}

/* auth(mechanism [, initial response]) */
static int auth(lua_State *L) {
  struct lm_pop3c *s = self(L);
  return pushed(L, s, lm_pop3c_auth(s, lm_boxstr(L, 2), lm_optboxstr(L, 3)));
}

/* answer(id, response | nil, secret) -> true | nil, reason: nil cancels; secret masks the trace */
static int answer(lua_State *L) {
  struct lm_pop3c *s = self(L);
  enum lm_pop3_secrecy secrecy = lua_toboolean(L, 4) ? LM_POP3_SECRET : LM_POP3_OPEN;
  if (lm_pop3c_answer(s, (uint32_t)luaL_checkinteger(L, 2), lm_optboxstr(L, 3), secrecy)) {
    lua_pushboolean(L, 1);
    return 1;
  }
  lua_pushnil(L);
  lua_pushstring(L, lm_pop3c_refusal(s));
  return 2;
}

static int stat(lua_State *L) {
  return verb_alone(L, LM_POP3_STAT);
}

static int all_or_one(lua_State *L, enum lm_pop3_verb verb) {
  struct lm_pop3c *s = self(L);
  if (lua_isnoneornil(L, 2)) return verb_alone(L, verb);
  return pushed(L, s, lm_pop3c_about(s, verb, checku32(L, 2, 1)));
}

/* list([number]) */
static int list(lua_State *L) {
  return all_or_one(L, LM_POP3_LIST);
}

/* uidl([number]) */
static int uidl(lua_State *L) {
  return all_or_one(L, LM_POP3_UIDL);
}

static enum lm_pop3_body checkbody(lua_State *L, int i) {
  static const char *const modes[] = {"whole", "stream", NULL};
  return luaL_checkoption(L, i, "whole", modes) ? LM_POP3_STREAM : LM_POP3_WHOLE;
}

/* retr(number [, "whole" | "stream"]) */
static int retr(lua_State *L) {
  struct lm_pop3c *s = self(L);
  return pushed(L, s, lm_pop3c_retr(s, checku32(L, 2, 1), checkbody(L, 3)));
}

/* top(number, lines [, "whole" | "stream"]) */
static int top(lua_State *L) {
  struct lm_pop3c *s = self(L);
  return pushed(L, s, lm_pop3c_top(s, checku32(L, 2, 1), checku32(L, 3, 0), checkbody(L, 4)));
}

/* dele(number) */
static int dele(lua_State *L) {
  struct lm_pop3c *s = self(L);
  return pushed(L, s, lm_pop3c_about(s, LM_POP3_DELE, checku32(L, 2, 1)));
}

static int rset(lua_State *L) {
  return verb_alone(L, LM_POP3_RSET);
}

static int noop(lua_State *L) {
  return verb_alone(L, LM_POP3_NOOP);
}

static int utf8(lua_State *L) {
  return verb_alone(L, LM_POP3_UTF8);
}

/* lang([tag]) */
static int lang(lua_State *L) {
  struct lm_pop3c *s = self(L);
  if (lua_isnoneornil(L, 2)) return verb_alone(L, LM_POP3_LANG);
  return pushed(L, s, lm_pop3c_lang(s, lm_boxstr(L, 2)));
}

static int quit(lua_State *L) {
  return verb_alone(L, LM_POP3_QUIT);
}

/* command(line [, multiline]) */
static int command(lua_State *L) {
  struct lm_pop3c *s = self(L);
  enum lm_pop3_body body = lua_toboolean(L, 3) ? LM_POP3_WHOLE : LM_POP3_NONE;
  return pushed(L, s, lm_pop3c_command(s, lm_boxstr(L, 2), body));
}

/* phase() -> "greeting" | "authorization" | "tls" | "transaction" | "closed" */
static int phase(lua_State *L) {
  static const char *const names[] = {"greeting", "authorization", "tls", "transaction", "closed"};
  lua_pushstring(L, names[lm_pop3c_state(self(L))]);
  return 1;
}

static const luaL_Reg methods[] = {
    {"capa", capa}, {"stls", stls},     {"user", user}, {"pass", pass},       {"apop", apop},
    {"auth", auth}, {"answer", answer}, {"stat", stat}, {"list", list},       {"uidl", uidl},
    {"retr", retr}, {"top", top},       {"dele", dele}, {"rset", rset},       {"noop", noop},
    {"utf8", utf8}, {"lang", lang},     {"quit", quit}, {"command", command}, {"phase", phase},
    {NULL, NULL},
};

/* --- the class -------------------------------------------------------------------------------- */

static void type_abandon(void *session, uint32_t id) {
  lm_pop3c_abandon(session, id);
}

static void type_secured(void *session) {
  lm_pop3c_secured(session);
}

static void type_free(void *session) {
  lm_pop3c_free(session);
}

static const struct lm_box_type box_type = {next, type_abandon, type_secured, type_free};

struct lm_pop3c *lm_checkpop3c(lua_State *L, int i) {
  struct lm_box *b = lm_checkbox(L, i);
  if (b->type != &box_type) luaL_argerror(L, i, "POP3 session expected");
  return b->session;
}

/* pop3_session([limits]) -> session */
static int pop3_session(lua_State *L) {
  struct lm_limits limits;
  struct lm_box *b;
  lm_checklimits(L, 1, &limits);
  b = lm_newbox(L, &box_type, lua_upvalueindex(1));
  if ((b->session = lm_pop3c_new(&limits)) == NULL) return luaL_error(L, "out of memory");
  b->link.wire = lm_pop3c_wire(b->session);
  return 1;
}

/* --- pop3_parse ------------------------------------------------------------------------------- */

/* Reads replies without knowing the commands. An answer's lines can only be told from the next
** reply by their looks: lines behind +OK that are no reply, up to a dot, are its `lines`. */
struct parser {
  struct lm_wire wire;
  int replies; /* so far; the newest is on the top of the stack */
  int lines;   /* of the newest */
  bool in_lines;
};

static void push_reply(lua_State *L, const struct lm_pop3_reply *r) {
  lua_createtable(L, 0, 4);
  if (r->word == LM_POP3_CHALLENGE) {
    lm_pushstr(L, r->text);
    lua_setfield(L, -2, "challenge");
    return;
  }
  lua_pushboolean(L, r->word == LM_POP3_OK);
  lua_setfield(L, -2, "ok");
  lm_pushstr(L, r->text);
  lua_setfield(L, -2, "text");
  push_code(L, r->code);
  lua_setfield(L, -2, "response_code");
}

/* A line that is no status line: of the newest reply's. */
static void add_line(lua_State *L, struct parser *p, struct lm_str line) {
  if (!p->in_lines) {
    lua_newtable(L);
    lua_setfield(L, -2, "lines");
    p->in_lines = true;
    p->lines = 0;
  }
  if (line.n == 1 && line.p[0] == '.') {
    p->in_lines = false;
    return;
  }
  if (line.n && line.p[0] == '.') line = (struct lm_str){line.p + 1, line.n - 1};
  lua_getfield(L, -1, "lines");
  lm_pushstr(L, line);
  lua_rawseti(L, -2, ++p->lines);
  lua_pop(L, 1);
}

/* Whether lines may follow the newest reply: it is +OK and has had none. */
static bool may_have_lines(lua_State *L, const struct parser *p) {
  bool ok;
  if (p->replies == 0) return false;
  lua_getfield(L, -1, "ok");
  lua_getfield(L, -2, "lines");
  ok = lua_toboolean(L, -2) && lua_isnil(L, -1);
  lua_pop(L, 2);
  return ok;
}

static enum lm_status parse_line(lua_State *L, void *parser, int replies) {
  struct parser *p = parser;
  struct lm_str line;
  struct lm_pop3_reply r;
  enum lm_status status = lm_wire_line(&p->wire, SIZE_MAX, &line);
  if (status != LM_EVENT) return status;
  r = lm_pop3_reply(line);
  if (p->in_lines || (r.word == LM_POP3_NONSENSE && may_have_lines(L, p))) {
    add_line(L, p, line);
  } else if (r.word == LM_POP3_NONSENSE) {
    return lm_wire_fail(&p->wire, LM_E_PROTOCOL, "+OK, -ERR or +", line);
  } else {
    lua_settop(L, replies);
    push_reply(L, &r);
    lua_pushvalue(L, -1);
    lua_rawseti(L, replies, ++p->replies);
  }
  return LM_EVENT;
}

static bool is_over(const struct parser *p) {
  return !p->in_lines && lm_wire_input(&p->wire).n == 0;
}

/* pop3_parse(bytes [, chunk]) -> array of {ok=, text=, response_code=, lines=} or {challenge=};
** or nil, kind, message. The bytes are fed `chunk` at a time. */
static int pop3_parse(lua_State *L) {
  struct parser *p;
  lua_settop(L, 2);
  p = lm_newobject(L, sizeof *p, lua_upvalueindex(1));
  lm_wire_init(&p->wire);
  lua_newtable(L); /* 4: the replies */
  lm_feed_recorded(L, &p->wire, p, 4, parse_line);
  if (!lm_wire_failed(&p->wire) && !is_over(p)) {
    lm_wire_fail(&p->wire, LM_E_CLOSED, p->in_lines ? "the final dot" : "the end of a line",
                 LM_NOSTR);
  }
  return lm_end_recorded(L, &p->wire, 4);
}

static int parser_release(lua_State *L) {
  struct parser *p = lm_checkself(L);
  lm_wire_free(&p->wire);
  return 0;
}

static const luaL_Reg no_methods[] = {{NULL, NULL}};
static const luaL_Reg parser_meta[] = {{"__gc", parser_release}, {NULL, NULL}};

void lm_open_pop3c(lua_State *L) {
  lm_newboxclass(L, "pop3_session_class", "mail.pop3", methods);
  lua_getfield(L, -1, "pop3_session_class");
  lua_pushcclosure(L, pop3_session, 1);
  lua_setfield(L, -2, "pop3_session");
  lm_newclass(L, "pop3_parser_class", "mail.pop3.parser", no_methods, parser_meta);
  lua_getfield(L, -1, "pop3_parser_class");
  lua_pushcclosure(L, pop3_parse, 1);
  lua_setfield(L, -2, "pop3_parse");
}
