/*
** l_imapc.c: class "mail.imap", the IMAP client session for Lua; core.imap_parse, core.seqset and
** core.utf7_encode / utf7_decode.
**
** A method queues a command and returns its id; next() tells what became of it. Tables are built in
** push_imap.c.
*/
#include <string.h>

#include "bind/bind.h"
#include "bind/l_zlib.h"
#include "bind/open.h"
#include "bind/push_imap.h"
#include "imap/client.h"
#include "imap/frame.h"
#include "imap/seqset.h"
#include "imap/utf7.h"

static struct lm_imapc *self(lua_State *L) {
  return lm_boxself(L)->session;
}

static int pushed(lua_State *L, struct lm_imapc *s, uint32_t id) {
  return lm_push_id(L, id, lm_imapc_refusal(s));
}

static int pushed_ok(lua_State *L, struct lm_imapc *s, bool ok) {
  if (!ok) return lm_push_id(L, 0, lm_imapc_refusal(s));
  lua_pushboolean(L, 1);
  return 1;
}

/* --- events: kind, id, ... ------------------------------------------------------------------------- */

static void push_code(lua_State *L, const struct lm_imap_resp *r) {
  if (r->code.n) {
    lm_pushstr(L, r->code);
  } else {
    lua_pushnil(L);
  }
  lm_imap_push_optional(L, &r->code_value);
}

/* status, code | nil, code's value | nil, text */
static int push_status(lua_State *L, const struct lm_imap_resp *r) {
  lm_pushstr(L, r->name);
  push_code(L, r);
  lm_pushstr(L, r->text);
  return 4;
}

/* name, number | nil, value | nil; of a status response also code, code's value, text */
static int push_untagged(lua_State *L, const struct lm_imap_resp *r) {
  lm_pushstr(L, r->name);
  if (r->has_number) {
    lm_push_u64(L, r->number);
  } else {
    lua_pushnil(L);
  }
  lm_imap_push_optional(L, &r->value);
  if (r->status == LM_IMAP_NO_STATUS) return 3;
  push_code(L, r);
  lm_pushstr(L, r->text);
  return 6;
}

/* text, code | nil, code's value | nil */
static int push_bye(lua_State *L, const struct lm_imap_resp *r) {
  lm_pushstr(L, r->text);
  if (r->code.n == 0) return 1;
  push_code(L, r);
  return 3;
}

/* message so far, section, size */
static int push_body(lua_State *L, const struct lm_imapc_event *ev) {
  lm_imap_push_fetch(L, ev->resp->fetch);
  lm_pushstr(L, ev->section->name);
  lm_push_u64(L, ev->section->size);
  return 3;
}

/* octets, and whether they are the last of their section */
static int push_data(lua_State *L, const struct lm_imapc_event *ev) {
  lm_pushstr(L, ev->data);
  lua_pushboolean(L, ev->last);
  return 2;
}

/* message, what it weighs */
static int push_message(lua_State *L, const struct lm_imapc *s, const struct lm_imap_fetch *f) {
  lm_imap_push_fetch(L, f);
  lua_pushinteger(L, (lua_Integer)lm_imapc_weight(s));
  return 2;
}

/* What stands behind kind and id. */
static int push_fields(lua_State *L, struct lm_box *b, const struct lm_imapc_event *ev) {
  switch (ev->kind) {
  case LM_IMAPC_FETCH: return push_message(L, b->session, ev->resp->fetch);
  case LM_IMAPC_BODY: return push_body(L, ev);
  case LM_IMAPC_DATA: return push_data(L, ev);
  case LM_IMAPC_UNTAGGED: return push_untagged(L, ev->resp);
  case LM_IMAPC_DONE: lm_box_release(L, b, ev->id); return push_status(L, ev->resp);
  case LM_IMAPC_GREETING: return push_status(L, ev->resp);
  case LM_IMAPC_BYE: return push_bye(L, ev->resp);
  case LM_IMAPC_LIMIT: lm_box_release(L, b, ev->id); return 0;
  case LM_IMAPC_ASK: lm_pushstr(L, ev->data); return 1;
  default: return 0;
  }
}

static enum lm_status next(lua_State *L, struct lm_box *b, int *n_out) {
  static const char *const kinds[] = {"greeting", "untagged", "fetch", "body",   "data",
                                      "done",     "ask",      "go",    "idling", "starttls",
                                      "compress", "limit",    "bye"};
  struct lm_imapc_event ev;
  enum lm_status status = lm_imapc_next(b->session, &ev);
  if (status == LM_EVENT) {
    luaL_checkstack(L, 16, NULL);
    lua_pushstring(L, kinds[ev.kind]);
    lua_pushinteger(L, (lua_Integer)ev.id);
    *n_out = 2 + push_fields(L, b, &ev);
  }
  return status;
}

/* --- submit ----------------------------------------------------------------------------------------- */

enum argument {
  A_TEXT,
  A_SET,
  A_NUMBER,
  A_ASTRING,
  A_STRING,
  A_MAILBOX,
  A_LITERAL,
  A_LITERAL8,
  A_STREAM,
  A_STREAM8,
  A_DATE,
  A_OPEN,
  A_CLOSE
};

static const char *const argument_names[] = {"text",    "set",     "number",   "astring", "string",
                                             "mailbox", "literal", "literal8", "stream",  "stream8",
                                             "date",    "open",    "close",    NULL};

/* A whole number of 0 or more that is exact. */
static uint64_t checksize(lua_State *L, int i) {
  lua_Number n = luaL_checknumber(L, i);
  luaL_argcheck(L, n >= 0 && n <= 9007199254740992.0 && n == (lua_Number)(uint64_t)n, i,
                "a whole number of 0 or more expected");
  return (uint64_t)n;
}

static int64_t checkdate(lua_State *L, int i) {
  lua_Number n = luaL_checknumber(L, i);
  luaL_argcheck(L, n > -1e15 && n < 1e15, i, "seconds since 1970 expected");
  return (int64_t)n;
}

/* Checks that all types are known and all values fit, so that nothing raises half-way; true where a string
** among them will be lent. */
static bool check_arguments(lua_State *L, int from) {
  int i, top = lua_gettop(L);
  bool lent = false;
  for (i = from; i <= top; i += 2) {
    switch ((enum argument)luaL_checkoption(L, i, NULL, argument_names)) {
    case A_NUMBER:
    case A_STREAM:
    case A_STREAM8: checksize(L, i + 1); break;
    case A_DATE: checkdate(L, i + 1); break;
    case A_OPEN:
    case A_CLOSE: luaL_checkany(L, i + 1); break;
    case A_LITERAL:
    case A_LITERAL8: lent = true; /* fall through */
    default: lm_checkstr(L, i + 1); break;
    }
  }
  return lent;
}

static void add_argument(lua_State *L, struct lm_imapc *s, int i) {
  enum argument type = (enum argument)luaL_checkoption(L, i, NULL, argument_names);
  switch (type) {
  case A_TEXT: lm_imapc_text(s, lm_checkstr(L, i + 1)); break;
  case A_SET: lm_imapc_set(s, lm_checkstr(L, i + 1)); break;
  case A_NUMBER: lm_imapc_number(s, checksize(L, i + 1)); break;
  case A_ASTRING: lm_imapc_astring(s, lm_checkstr(L, i + 1)); break;
  case A_STRING: lm_imapc_string(s, lm_checkstr(L, i + 1)); break;
  case A_MAILBOX: lm_imapc_mailbox(s, lm_checkstr(L, i + 1)); break;
  case A_LITERAL: lm_imapc_literal(s, lm_checkstr(L, i + 1), LM_IMAPC_LITERAL); break;
  case A_LITERAL8: lm_imapc_literal(s, lm_checkstr(L, i + 1), LM_IMAPC_LITERAL8); break;
  case A_STREAM: lm_imapc_stream(s, checksize(L, i + 1), LM_IMAPC_LITERAL); break;
  case A_STREAM8: lm_imapc_stream(s, checksize(L, i + 1), LM_IMAPC_LITERAL8); break;
  case A_DATE: lm_imapc_date(s, checkdate(L, i + 1)); break;
  case A_OPEN: lm_imapc_open(s); break;
  case A_CLOSE: lm_imapc_close(s); break;
  }
}

/* What keeps all arguments from `from` on alive until the command is done. To anchor it allocates no more. */
static void push_anchor(lua_State *L, struct lm_box *b, int from) {
  int i, top = lua_gettop(L), n = 0;
  lm_box_may_anchor(L, b);
  lua_createtable(L, top - from + 1, 0);
  for (i = from; i <= top; i++) {
    lua_pushvalue(L, i);
    lua_rawseti(L, -2, ++n);
  }
}

/* submit(verb, stream, type, value, ...) -> id | nil, reason
** types: "text" as it stands, "set", "number", "astring", "string", "mailbox" (UTF-8), "date"
** (seconds), "literal", "literal8" (strings), "stream", "stream8" (sizes: "go" asks for content),
** "open", "close" (any value). `stream`: bodies come as "body" and "data" events. */
static int submit(lua_State *L) {
  enum { FIRST = 4 };
  struct lm_box *b = lm_boxself(L);
  struct lm_imapc *s = b->session;
  struct lm_str verb = lm_boxstr(L, 2);
  uint32_t next, id;
  int i, top = lua_gettop(L);
  bool lent = check_arguments(L, FIRST);
  if (lent) push_anchor(L, b, FIRST);
  lm_boxself(L); /* what was made of the arguments may have collected, and a finalizer freed it */
  next = lm_imapc_next_id(s);
  if (lent) lm_box_anchor(L, b, next, -1);
  lm_imapc_begin(s, verb, lua_toboolean(L, 3) ? LM_IMAPC_STREAM : 0);
  for (i = FIRST; i <= top; i += 2) add_argument(L, s, i);
  id = lm_imapc_end(s);
  if (lent && id == 0) lm_box_release(L, b, next);
  return pushed(L, s, id);
}

/* --- other commands, in the order of the table below ---------------------------------------------------- */

/* begin_login(user, password) -> id | nil, reason */
static int login(lua_State *L) {
  struct lm_imapc *s = self(L);
  struct lm_str user = lm_boxstr(L, 2), password = lm_boxstr(L, 3);
  return pushed(L, s, lm_imapc_login(s, user, password));
}

/* begin_authenticate(mechanism [, initial]) -> id | nil, reason */
static int authenticate(lua_State *L) {
  struct lm_imapc *s = self(L);
  struct lm_str mechanism = lm_boxstr(L, 2), initial = lm_optboxstr(L, 3);
  return pushed(L, s, lm_imapc_authenticate(s, mechanism, initial));
}

static uint32_t checkid(lua_State *L, int i) {
  return (uint32_t)luaL_checkinteger(L, i);
}

/* answer(id, octets | nil) -> true | nil, reason; nil cancels */
static int answer(lua_State *L) {
  struct lm_imapc *s = self(L);
  uint32_t id = checkid(L, 2);
  struct lm_str bytes = lm_optboxstr(L, 3);
  return pushed_ok(L, s, bytes.p ? lm_imapc_answer(s, id, bytes) : lm_imapc_cancel(s, id));
}

/* content(id, octets) -> true | nil, reason; the string is kept until it is sent */
static int content(lua_State *L) {
  struct lm_box *b = lm_boxself(L);
  struct lm_imapc *s = b->session;
  uint32_t id = checkid(L, 2);
  struct lm_str bytes = lm_checkstr(L, 3);
  bool ok;
  lm_boxself(L); /* a finalizer may have freed it */
  lm_box_may_anchor(L, b);
  ok = lm_imapc_content(s, id, bytes);
  if (ok) lm_box_anchor(L, b, 0, 3);
  return pushed_ok(L, s, ok);
}

/* content_end(id) -> true | nil, reason */
static int content_end(lua_State *L) {
  struct lm_imapc *s = self(L);
  return pushed_ok(L, s, lm_imapc_content_end(s, checkid(L, 2)));
}

/* wants_content(id) -> boolean: content may be given now */
static int wants_content(lua_State *L) {
  lua_pushboolean(L, lm_imapc_wants_content(self(L), checkid(L, 2)));
  return 1;
}

/* push(): writes what may be written, without looking at the input */
static int push(lua_State *L) {
  lm_imapc_push(self(L));
  return 0;
}

/* is_sent(id) -> boolean: it left whole and was not answered */
static int is_sent(lua_State *L) {
  lua_pushboolean(L, lm_imapc_is_sent(self(L), checkid(L, 2)));
  return 1;
}

/* join(id, with) -> true | nil, reason: the data of both comes under the id of the older */
static int join(lua_State *L) {
  struct lm_imapc *s = self(L);
  return pushed_ok(L, s, lm_imapc_join(s, checkid(L, 2), checkid(L, 3)));
}

/* abandon(id): nobody listens for this command any more. Its literals have left, or never will: one that
** was given up in the middle has ended the session. */
static int abandon(lua_State *L) {
  struct lm_box *b = lm_boxself(L);
  uint32_t id = checkid(L, 2);
  lm_imapc_abandon(b->session, id);
  if (!lm_wire_failed(lm_imapc_wire(b->session))) lm_box_release(L, b, id);
  return 0;
}

/* begin_idle() -> id | nil, reason */
static int idle(lua_State *L) {
  struct lm_imapc *s = self(L);
  return pushed(L, s, lm_imapc_idle(s));
}

/* idle_rearm() */
static int idle_rearm(lua_State *L) {
  lm_imapc_idle_rearm(self(L));
  return 0;
}

/* idle_end(id) */
static int idle_end(lua_State *L) {
  lm_imapc_idle_end(self(L), checkid(L, 2));
  return 0;
}

/* unnumbered(on): message numbers may change at any time; commands that use them are refused */
static int unnumbered(lua_State *L) {
  lm_imapc_unnumbered(self(L), lua_toboolean(L, 2));
  return 0;
}

/* capability_set() -> {NAME = true}; empty where they are not known */
static int capability_set(lua_State *L) {
  struct lm_box *b = lm_boxself(L);
  struct lm_cursor c = lm_cursor(lm_imapc_capabilities(b->session));
  lm_box_hold(L, b, capability_set);
  lua_newtable(L);
  while (!lm_at_end(&c)) {
    lm_pushstr(L, lm_until(&c, ' '));
    lua_pushboolean(L, 1);
    lua_rawset(L, -3);
    lm_accept(&c, ' ');
  }
  return lm_box_let_go(L, b, 1);
}

/* capabilities_known() -> boolean */
static int capabilities_known(lua_State *L) {
  lua_pushboolean(L, lm_imapc_capabilities(self(L)).n > 0);
  return 1;
}

/* has_capability(name) -> boolean */
static int has_capability(lua_State *L) {
  struct lm_imapc *s = self(L);
  lua_pushboolean(L, lm_imapc_has(s, lm_boxstr(L, 2)));
  return 1;
}

/* weight() -> octets that the response of the last event takes in memory, about */
static int weight(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)lm_imapc_weight(self(L)));
  return 1;
}

/* answer_limit() -> how much of that a call may gather */
static int answer_limit(lua_State *L) {
  lua_pushnumber(L, (lua_Number)lm_imapc_answer_limit(self(L)));
  return 1;
}

/* tag(id) -> the tag of a command, by which later responses may name it */
static int tag(lua_State *L) {
  struct lm_imapc *s = self(L);
  char room[32];
  struct lm_buf text = {room, 0, 0, sizeof room}; /* never grows */
  lm_imapc_tag(s, checkid(L, 2), &text);
  lm_pushstr(L, lm_buf_str(&text));
  return 1;
}

/* speaks_utf8() -> boolean: names and quoted strings travel as UTF-8 */
static int speaks_utf8(lua_State *L) {
  lua_pushboolean(L, lm_imapc_utf8(self(L)));
  return 1;
}

/* phase() -> "greeting" | "not authenticated" | "authenticated" | "selected" | "logout" */
static int phase(lua_State *L) {
  static const char *const names[] = {"greeting", "not authenticated", "authenticated", "selected",
                                      "logout"};
  lua_pushstring(L, names[lm_imapc_state(self(L))]);
  return 1;
}

/* pending() -> number of commands in flight or queued, IDLE not counted */
static int pending(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)lm_imapc_pending(self(L)));
  return 1;
}

static const luaL_Reg methods[] = {
    {"submit", submit},
    {"abandon", abandon},
    {"answer", answer},
    {"content", content},
    {"content_end", content_end},
    {"is_sent", is_sent},
    {"join", join},
    {"push", push},
    {"wants_content", wants_content},
    {"idle_rearm", idle_rearm},
    {"idle_end", idle_end},
    {"unnumbered", unnumbered},
    {"capability_set", capability_set},
    {"capabilities_known", capabilities_known},
    {"has_capability", has_capability},
    {"weight", weight},
    {"answer_limit", answer_limit},
    {"tag", tag},
    {"speaks_utf8", speaks_utf8},
    {"phase", phase},
    {"pending", pending},
    {"begin_login", login},
    {"begin_authenticate", authenticate},
    {"begin_idle", idle},
    {"start_deflate", lm_box_start_deflate},
    {"deflate_count", lm_box_deflate_count},
    {NULL, NULL},
};

static void box_abandon(void *session, uint32_t id) {
  lm_imapc_abandon(session, id);
}

static void box_secured(void *session) {
  lm_imapc_secured(session);
}

static void box_free(void *session) {
  lm_imapc_free(session);
}

static const struct lm_box_type box_type = {next, box_abandon, box_secured, box_free};

/* imap_session([limits [, tag_prefix]]) -> session */
static int imap_session(lua_State *L) {
  struct lm_str prefix = lm_optstr(L, 2);
  struct lm_limits limits;
  struct lm_box *b;
  lm_checklimits(L, 1, &limits);
  b = lm_newbox(L, &box_type, lua_upvalueindex(1));
  if ((b->session = lm_imapc_new(&limits)) == NULL) return luaL_error(L, "out of memory");
  b->link.wire = lm_imapc_wire(b->session);
  if (prefix.p && !lm_imapc_tag_prefix(b->session, prefix)) {
    return luaL_argerror(L, 2, "1 to 7 letters expected");
  }
  return 1;
}

/* --- imap_parse ----------------------------------------------------------------------------------------- */

/* A reader without state: a wire, a frame, an arena. */
struct parser {
  struct lm_wire wire;
  struct lm_imap_frame frame;
  struct lm_arena arena;
  struct lm_limits limits;
  int count;
};

static enum lm_status bad_response(struct parser *p, const struct lm_cursor *c) {
  const char *where = c->where ? c->where : c->p;
  p->wire.error.offset = (uint32_t)(where - c->begin);
  return lm_wire_fail(&p->wire, c->code ? c->code : LM_E_PROTOCOL,
                      c->expected ? c->expected : "response",
                      (struct lm_str){where, (size_t)(c->end - where)});
}

/* One response into the array at `all`. */
static enum lm_status parse_whole(lua_State *L, struct parser *p, struct lm_str text, int all) {
  struct lm_imap_how how = {false};
  struct lm_imap_resp resp;
  struct lm_cursor c = lm_cursor(text);
  c.arena = &p->arena;
  c.limits = &p->limits;
  if (!lm_imap_resp(&c, &how, &resp)) return bad_response(p, &c);
  lm_imap_push_resp(L, &resp);
  lua_rawseti(L, all, ++p->count);
  lm_wire_take(&p->wire, (size_t)(c.p - c.begin));
  lm_arena_reset(&p->arena);
  return LM_EVENT;
}

static enum lm_status parse_one(lua_State *L, void *parser, int all) {
  struct parser *p = parser;
  struct lm_str in = lm_wire_input(&p->wire);
  size_t size = 0;
  switch (lm_imap_frame(&p->frame, in, &p->limits, &size)) {
  case LM_FRAME_MORE: return LM_WAIT;
  case LM_FRAME_WHOLE: return parse_whole(L, p, (struct lm_str){in.p, size}, all);
  case LM_FRAME_LIMIT: return lm_wire_fail(&p->wire, LM_E_LIMIT, p->frame.why, LM_NOSTR);
  default: return lm_wire_fail(&p->wire, LM_E_PROTOCOL, p->frame.why, in);
  }
}

/* imap_parse(bytes [, chunk [, limits]]) -> array of {kind=, tag=, name=, number=, value=, code=,
** code_value=, text=}; or nil, kind, message. The bytes are fed `chunk` at a time. */
static int imap_parse(lua_State *L) {
  struct parser *p;
  lua_settop(L, 3);
  p = lm_newobject(L, sizeof *p, lua_upvalueindex(1));
  lm_wire_init(&p->wire);
  lm_checklimits(L, 3, &p->limits);
  if (p->limits.depth > 1000) p->limits.depth = 1000;
  lua_newtable(L); /* 5: the responses */
  lm_feed_recorded(L, &p->wire, p, 5, parse_one);
  if (!lm_wire_failed(&p->wire) && lm_wire_input(&p->wire).n) {
    lm_wire_fail(&p->wire, LM_E_CLOSED, "the end of a response", lm_wire_input(&p->wire));
  }
  return lm_end_recorded(L, &p->wire, 5);
}

static int parser_release(lua_State *L) {
  struct parser *p = lm_checkself(L);
  lm_wire_free(&p->wire);
  lm_arena_free(&p->arena);
  return 0;
}

static const luaL_Reg no_methods[] = {{NULL, NULL}};
static const luaL_Reg parser_meta[] = {{"__gc", parser_release}, {NULL, NULL}};

/* --- sets and names --------------------------------------------------------------------------------------- */

static enum lm_seqset_got add_number(lua_State *L, struct lm_seqset *set, int i) {
  lua_Number n = lua_tonumber(L, i);
  if (!(n >= 1 && n <= 4294967295.0) || n != (lua_Number)(uint32_t)n) return LM_SEQSET_BAD;
  return lm_seqset_add(set, (uint32_t)n, (uint32_t)n) ? LM_SEQSET_OK : LM_SEQSET_MEMORY;
}

/* Adds a number, or the text of a set. */
static enum lm_seqset_got add_one(lua_State *L, struct lm_seqset *set, int i) {
  if (lua_type(L, i) == LUA_TNUMBER) return add_number(L, set, i);
  if (lua_type(L, i) != LUA_TSTRING) return LM_SEQSET_BAD;
  return lm_seqset_parse(set, lm_checkstr(L, i));
}

static enum lm_seqset_got add_all(lua_State *L, struct lm_seqset *set) {
  enum lm_seqset_got got = LM_SEQSET_OK;
  int i, n = (int)lua_rawlen(L, 1);
  for (i = 1; i <= n && got == LM_SEQSET_OK; i++) {
    lua_rawgeti(L, 1, i);
    got = add_one(L, set, -1);
    lua_pop(L, 1);
  }
  return got;
}

/* The set of the value at 1 as canonical text; raises nothing. */
static enum lm_seqset_got canonical(lua_State *L, struct lm_buf *text) {
  struct lm_seqset set = {NULL, 0, 0};
  enum lm_seqset_got got = lua_istable(L, 1) ? add_all(L, &set) : add_one(L, &set, 1);
  lm_seqset_sort(&set);
  if (got == LM_SEQSET_OK && !lm_seqset_format(&set, text)) got = LM_SEQSET_MEMORY;
  lm_seqset_free(&set);
  return got;
}

/* seqset(number | text | array of these) -> canonical text ("" for an empty array) | nil, reason */
static int seqset(lua_State *L) {
  char room[256];
  struct lm_buf small = {room, 0, 0, sizeof room}, *text = NULL;
  struct lm_str s = LM_NOSTR;
  enum lm_seqset_got got;
  luaL_checkany(L, 1);
  lua_settop(L, 1);
  if (lua_type(L, 1) == LUA_TSTRING) s = lm_checkstr(L, 1);
  if (lm_str_eq(s, LM_STR("$"))) return 1;
  if (lua_istable(L, 1) || s.n > sizeof room) text = lm_newbuffer(L);
  got =
      canonical(L, text ? text : &small); /* of a text it is never longer: `small` does not grow */
  if (got == LM_SEQSET_BAD) {
    return lm_push_id(L, 0, "a set is numbers from 1 to 4294967295, or text like \"1:3,7,10:*\"");
  }
  if (text || got != LM_SEQSET_OK) return lm_push_buffer(L, text, got == LM_SEQSET_OK);
  lm_pushstr(L, lm_buf_str(&small));
  return 1;
}

static int recode(lua_State *L, enum lm_utf7 (*code)(struct lm_buf *, struct lm_str),
                  const char *why) {
  struct lm_str s = lm_checkstr(L, 1);
  struct lm_buf *text = lm_newbuffer(L);
  enum lm_utf7 got = code(text, s);
  if (got != LM_UTF7_BAD) return lm_push_buffer(L, text, got == LM_UTF7_OK);
  return lm_push_id(L, 0, why);
}

/* utf7_encode(utf8) -> modified UTF-7 | nil, reason */
static int utf7_encode(lua_State *L) {
  return recode(L, lm_utf7_encode, "not UTF-8, or CR, LF or NUL in it");
}

/* utf7_decode(text) -> UTF-8 | nil, reason */
static int utf7_decode(lua_State *L) {
  return recode(L, lm_utf7_decode, "not modified UTF-7");
}

/* core.bare_lf(text, from, to) -> the place of the first LF without a CR in front of it that lies in
** from..to | nil */
static int bare_lf(lua_State *L) {
  struct lm_str s = lm_checkstr(L, 1);
  size_t from = (size_t)luaL_checkinteger(L, 2), to = (size_t)luaL_checkinteger(L, 3);
  const char *p, *end;
  luaL_argcheck(L, from >= 1 && from <= s.n + 1, 2, "a place in the text expected");
  if (to > s.n) to = s.n;
  for (p = s.p + from - 1, end = s.p + to; p < end; p++) {
    if ((p = memchr(p, '\n', (size_t)(end - p))) == NULL) return 0;
    if (p > s.p && p[-1] == '\r') continue;
    lua_pushinteger(L, p - s.p + 1);
    return 1;
  }
  return 0;
}

static const luaL_Reg functions[] = {{"bare_lf", bare_lf},
                                     {"seqset", seqset},
                                     {"utf7_encode", utf7_encode},
                                     {"utf7_decode", utf7_decode},
                                     {NULL, NULL}};

/* --- open ---------------------------------------------------------------------------------------------------- */

void lm_open_imapc(lua_State *L) {
  const luaL_Reg *f;
  lm_imap_push_setup(L);
  lm_newboxclass(L, "imap_class", "mail.imap", methods);
  lua_getfield(L, -1, "imap_class");
  lua_pushcclosure(L, imap_session, 1);
  lua_setfield(L, -2, "imap_session");
  lm_newclass(L, "imap_parser_class", "mail.imap.parser", no_methods, parser_meta);
  lua_getfield(L, -1, "imap_parser_class");
  lua_pushcclosure(L, imap_parse, 1);
  lua_setfield(L, -2, "imap_parse");
  for (f = functions; f->name; f++) {
    lua_pushcfunction(L, f->func);
    lua_setfield(L, -2, f->name);
  }
}
