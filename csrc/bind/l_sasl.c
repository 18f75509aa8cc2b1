/*
** l_sasl.c: core.sasl and core.sasl_server, one exchange as a userdata; core.sasl_mechanisms, what
** there is; core.saslprep.
**
** Octets in, octets out: base64 and lines belong to the sessions.
*/
#include "base/text.h"
#include "bind/bind.h"
#include "bind/open.h"
#include "gss/gss.h"
#include "sasl/sasl.h"

struct exchange {
  struct lm_sasl *sasl;
  struct lm_sasl *parting; /* the same, where it was freed halfway */
  bool halfway;            /* a move is being made, or was lost when memory was short for it */
};

static struct lm_sasl *self(lua_State *L) {
  struct exchange *x = lm_checkself(L);
  if (x->sasl == NULL) luaL_error(L, "the exchange is freed");
  return x->sasl;
}

/* The exchange for a move, whose arguments were checked; moved() ends it. */
static struct lm_sasl *move(lua_State *L) {
  struct lm_sasl *s = self(L);
  struct exchange *x = lua_touserdata(L, 1);
  if (x->halfway)
    luaL_error(L, "the exchange is in use, or a part of it was lost: memory was short");
  x->halfway = true;
  return s;
}

/* The move was told whole, in so many values. */
static int moved(lua_State *L, int values) {
  struct exchange *x = lua_touserdata(L, 1);
  x->halfway = false;
  lm_sasl_free(x->parting); /* a finalizer freed it while it was told */
  x->parting = NULL;
  return values;
}

/* The string under `name` of the table at 2; empty where there is none. It stays on the stack. */
static struct lm_str credential(lua_State *L, const char *name) {
  lua_getfield(L, 2, name);
  if (lua_isnil(L, -1)) return LM_STR("");
  if (lua_type(L, -1) != LUA_TSTRING) luaL_error(L, "credential '%s' must be a string", name);
  return lm_checkstr(L, lua_gettop(L));
}

/* The table at 2; its strings stay on the stack. */
static void read_credentials(lua_State *L, struct lm_sasl_credentials *c) {
  luaL_checktype(L, 2, LUA_TTABLE);
  luaL_checkstack(L, 16, "credentials");
  c->user = credential(L, "user");
  c->password = credential(L, "password");
  c->token = credential(L, "token");
  c->authzid = credential(L, "authzid");
  c->port = credential(L, "port");
  c->service = credential(L, "service");
  c->host = credential(L, "host");
  c->ccache = credential(L, "ccache");
  c->gss = lm_gss_library();
  c->nonce = credential(L, "nonce");
  c->binding_name = credential(L, "binding_name");
  c->binding = credential(L, "binding");
  lua_getfield(L, 2, "binding_offered");
  c->binding_offered = lua_toboolean(L, -1);
  lua_getfield(L, 2, "now");
  c->now = (uint64_t)luaL_optnumber(L, -1, 0);
}

static const struct lm_sasl_mechanism *mechanism(lua_State *L) {
  const struct lm_sasl_mechanism *m = lm_sasl_find(lm_checkstr(L, 1));
  luaL_argcheck(L, m != NULL, 1, "unknown SASL mechanism");
  return m;
}

typedef const char *begin_fn(const struct lm_sasl_mechanism *, const struct lm_sasl_credentials *,
                             struct lm_sasl **);

static int begin(lua_State *L, begin_fn *how) {
  const struct lm_sasl_mechanism *m = mechanism(L);
  struct lm_sasl_credentials c;
  struct exchange *x;
  const char *why;
  read_credentials(L, &c);
  x = lm_newobject(L, sizeof *x, lua_upvalueindex(1));
  why = how(m, &c, &x->sasl);
  if (why == NULL) return 1;
  lua_pushnil(L);
  lua_pushstring(L, why);
  return 2;
}

/* --- the client --------------------------------------------------------------------------------- */

/* sasl(mechanism, {user=, password=, token=, authzid=, host=, port=, service=, ccache=, now=, nonce=,
** binding_name=, binding=, binding_offered=}) -> exchange | nil, reason */
static int sasl(lua_State *L) {
  return begin(L, lm_sasl_new);
}

/* prepare() -> true | nil, reason, whether that may pass: what fails before anything is said */
static int prepare(lua_State *L) {
  struct lm_sasl *s = move(L);
  bool passes, good = lm_sasl_prepare(s, &passes);
  if (good) {
    lua_pushboolean(L, 1);
    return moved(L, 1);
  }
  lua_pushnil(L);
  lua_pushstring(L, lm_sasl_why(s));
  lua_pushboolean(L, passes);
  return moved(L, 3);
}

/* initial() -> response | nil where the server speaks first */
static int initial(lua_State *L) {
  struct lm_str response;
  if (!lm_sasl_initial(move(L), &response)) return moved(L, 0);
  lm_pushstr(L, response);
  return moved(L, 1);
}

static int answer(lua_State *L, struct lm_sasl *s, enum lm_sasl_answer got,
                  struct lm_str response) {
  if (got == LM_SASL_SEND) {
    lm_pushstr(L, response);
    return moved(L, 1);
  }
  if (got == LM_SASL_WORKING) {
    lua_pushboolean(L, 0);
    return moved(L, 1);
  }
  lua_pushnil(L);
  lua_pushstring(L, got == LM_SASL_MEMORY ? "out of memory" : lm_sasl_why(s));
  return got == LM_SASL_MEMORY ? 2 : moved(L, 2);
}

/* step(challenge) -> response | false: call work() | nil, reason: then cancel. nil is a challenge
** that was no base64. */
static int step(lua_State *L) {
  struct lm_str challenge = lm_optstr(L, 2), response;
  struct lm_sasl *s = move(L);
  enum lm_sasl_answer got = lm_sasl_step(s, challenge, &response);
  return answer(L, s, got, response);
}

/* work([rounds]) -> as step: the next slice; no slice has more than LM_SCRAM_SLICE rounds */
static int work(lua_State *L) {
  struct lm_sasl *s;
  struct lm_str response;
  lua_Integer rounds = luaL_optinteger(L, 2, LM_SCRAM_SLICE);
  enum lm_sasl_answer got;
  luaL_argcheck(L, rounds > 0, 2, "rounds must be above 0");
  s = move(L);
  got = lm_sasl_work(s, rounds < LM_SCRAM_SLICE ? (uint32_t)rounds : LM_SCRAM_SLICE, &response);
  return answer(L, s, got, response);
}

/* done() -> boolean: whether a success may be believed */
static int done(lua_State *L) {
  lua_pushboolean(L, lm_sasl_done(self(L)));
  return 1;
}

/* reason() -> text | nil: what the server said of its refusal within the exchange */
static int reason(lua_State *L) {
  struct lm_buf *copy;
  struct lm_str text = lm_sasl_reason(self(L));
  if (text.n == 0) return 0;
  copy = lm_newbuffer(L);
  text = lm_sasl_reason(self(L)); /* that may have collected, and a finalizer freed it */
  return lm_push_buffer(L, copy, lm_buf_put(copy, text.p, text.n));
}

/* Whoever is in the midst of a move frees it at its end. */
static int release(lua_State *L) {
  struct exchange *x = lm_checkself(L);
  if (x->halfway && x->sasl) {
    x->parting = x->sasl;
  } else {
    lm_sasl_free(x->sasl);
  }
  x->sasl = NULL;
  return 0;
}

static int exchange_gc(lua_State *L) {
  struct exchange *x = lm_checkself(L);
  lm_sasl_free(x->sasl);
  lm_sasl_free(x->parting);
  x->sasl = x->parting = NULL;
  return 0;
}

/* --- the server --------------------------------------------------------------------------------- */

/* sasl_server(mechanism, {host=, nonce=, binding_name=, binding=, binding_offered=, user= (EXTERNAL:
** whom the certificate names)}) -> exchange | nil, reason */
static int sasl_server(lua_State *L) {
  return begin(L, lm_sasl_serve);
}

/* turn -> "challenge", text | "check", user, password, authzid | "token", user, token |
** "lookup", user | "more" | "accept", user, authzid | "deny", why */
static int push_event(lua_State *L, struct lm_sasl *s, const struct lm_sasl_event *ev) {
  static const char *const names[] = {"challenge", "check",  "token", "lookup",
                                      "more",      "accept", "deny"};
  if (ev->turn == LM_SASL_NO_MEMORY) return luaL_error(L, "out of memory");
  lua_pushstring(L, names[ev->turn]);
  switch (ev->turn) {
  case LM_SASL_CHALLENGE: lm_pushstr(L, ev->text); return 2;
  case LM_SASL_MORE: return 1;
  case LM_SASL_LOOKUP: lm_pushstr(L, ev->user); return 2;
  case LM_SASL_DENY: lua_pushstring(L, lm_sasl_why(s)); return 2;
  case LM_SASL_ACCEPT:
    lm_pushstr(L, ev->user);
    lm_pushstr(L, ev->authzid);
    return 3;
  default:
    lm_pushstr(L, ev->user);
    lm_pushstr(L, ev->password);
    lm_pushstr(L, ev->authzid);
    return 4;
  }
}

static int push_turn(lua_State *L, struct lm_sasl *s, const struct lm_sasl_event *ev) {
  return moved(L, push_event(L, s, ev));
}

/* receive(response | nil) -> turn */
static int receive(lua_State *L) {
  struct lm_str response = lm_optstr(L, 2);
  struct lm_sasl *s = move(L);
  struct lm_sasl_event ev;
  lm_sasl_receive(s, response, &ev);
  return push_turn(L, s, &ev);
}

/* secret{password=} | secret{salt=, rounds=, stored_key=, server_key=} | secret{salt=}: nobody of
** that name -> turn */
static int secret(lua_State *L) {
  struct lm_sasl *s;
  struct lm_sasl_secret known;
  struct lm_sasl_event ev;
  luaL_checktype(L, 2, LUA_TTABLE);
  known.password = credential(L, "password");
  known.salt = credential(L, "salt");
  known.stored_key = credential(L, "stored_key");
  known.server_key = credential(L, "server_key");
  lua_getfield(L, 2, "rounds");
  known.rounds = (uint32_t)luaL_optinteger(L, -1, 0);
  s = move(L);
  lm_sasl_secret(s, &known, &ev);
  return push_turn(L, s, &ev);
}

/* decide(is_right) -> turn */
static int decide(lua_State *L) {
  struct lm_sasl *s = move(L);
  struct lm_sasl_event ev;
  lm_sasl_decide(s, lua_toboolean(L, 2), &ev);
  return push_turn(L, s, &ev);
}

/* more() -> turn: the next slice behind "more" */
static int more(lua_State *L) {
  struct lm_sasl *s = move(L);
  struct lm_sasl_event ev;
  lm_sasl_continue(s, &ev);
  return push_turn(L, s, &ev);
}

/* --- what there is ------------------------------------------------------------------------------ */

static void set_flag(lua_State *L, const char *name, bool value) {
  lua_pushboolean(L, value);
  lua_setfield(L, -2, name);
}

/* sasl_mechanisms() -> array of {name=, plaintext=, wants_secret=, wants_token=, wants_ticket=, binds=,
** on_demand=, serves=, missing= (this build has it not)}, strongest first */
static int sasl_mechanisms(lua_State *L) {
  const struct lm_sasl_mechanism *const *m = lm_sasl_mechanisms();
  int i;
  lua_newtable(L);
  for (i = 0; m[i]; i++) {
    lua_createtable(L, 0, 9);
    lua_pushstring(L, m[i]->name);
    lua_setfield(L, -2, "name");
    set_flag(L, "plaintext", m[i]->plaintext);
    set_flag(L, "wants_secret", m[i]->wants_secret);
    set_flag(L, "wants_token", m[i]->wants_token);
    set_flag(L, "wants_ticket", m[i]->wants_ticket);
    set_flag(L, "missing", m[i]->wants_ticket && lm_gss_library() == NULL);
    set_flag(L, "binds", m[i]->binds);
    set_flag(L, "on_demand", m[i]->on_demand);
    set_flag(L, "serves", m[i]->serve != NULL);
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

/* base64(octets) -> text: what a secret looks like on the wire, for those who mask it */
static int base64(lua_State *L) {
  struct lm_str s = lm_checkstr(L, 1);
  struct lm_buf *b = lm_newbuffer(L);
  return lm_push_buffer(L, b, lm_base64_encode(b, s));
}

/* saslprep(text) -> prepared text | nil where SASL forbids it (RFC 4013) */
static int saslprep(lua_State *L) {
  struct lm_str s = lm_checkstr(L, 1);
  struct lm_buf *b = lm_newbuffer(L);
  if (lm_buf_room(b, s.n + 1) == NULL) return luaL_error(L, "out of memory");
  if (lm_saslprep(s, b)) return lm_push_buffer(L, b, true);
  lua_pushnil(L);
  return 1;
}

static const luaL_Reg client_methods[] = {
    {"prepare", prepare}, {"initial", initial}, {"step", step},    {"work", work},
    {"done", done},       {"reason", reason},   {"free", release}, {NULL, NULL},
};

static const luaL_Reg server_methods[] = {
    {"receive", receive}, {"secret", secret}, {"decide", decide},
    {"more", more},       {"free", release},  {NULL, NULL},
};

static const luaL_Reg meta[] = {{"__gc", exchange_gc}, {NULL, NULL}};

static void open_class(lua_State *L, const char *field, const char *name, const luaL_Reg *methods,
                       const char *function, lua_CFunction make) {
  lm_newclass(L, field, name, methods, meta);
  lua_getfield(L, -1, field);
  lua_pushcclosure(L, make, 1);
  lua_setfield(L, -2, function);
}

void lm_open_sasl(lua_State *L) {
  open_class(L, "sasl_class", "mail.sasl", client_methods, "sasl", sasl);
  open_class(L, "sasl_server_class", "mail.sasl_server", server_methods, "sasl_server",
             sasl_server);
  lua_pushcfunction(L, sasl_mechanisms);
  lua_setfield(L, -2, "sasl_mechanisms");
  lua_pushcfunction(L, base64);
  lua_setfield(L, -2, "base64");
  lua_pushcfunction(L, saslprep);
  lua_setfield(L, -2, "saslprep");
}
