/*
** l_sasl.c: core.sasl, one exchange as a userdata; core.sasl_mechanisms, what there is.
**
** Octets in, octets out: base64 and lines belong to the sessions.
*/
#include "bind/bind.h"
#include "base/text.h"
#include "bind/open.h"
#include "sasl/sasl.h"

struct exchange {
  struct lm_sasl *sasl;
};

static struct lm_sasl *self(lua_State *L) {
  struct exchange *x = lm_checkself(L);
  if (x->sasl == NULL) luaL_error(L, "the exchange is freed");
  return x->sasl;
}

/* The string under `name` of the table at 2; empty where there is none. It stays on the stack. */
static struct lm_str credential(lua_State *L, const char *name) {
  lua_getfield(L, 2, name);
  if (lua_isnil(L, -1)) return LM_STR("");
  if (lua_type(L, -1) != LUA_TSTRING) luaL_error(L, "credential '%s' must be a string", name);
  return lm_checkstr(L, lua_gettop(L));
}

/* sasl(mechanism, {user=, password=, authzid=}) -> exchange | nil, reason */
static int sasl(lua_State *L) {
  const struct lm_sasl_mechanism *m = lm_sasl_find(lm_checkstr(L, 1));
  struct lm_sasl_credentials c;
  struct exchange *x;
  const char *why;
  luaL_argcheck(L, m != NULL, 1, "unknown SASL mechanism");
  luaL_checktype(L, 2, LUA_TTABLE);
  c.user = credential(L, "user");
  c.password = credential(L, "password");
  c.authzid = credential(L, "authzid");
  x = lm_newobject(L, sizeof *x, lua_upvalueindex(1));
  why = lm_sasl_new(m, &c, &x->sasl);
  if (why == NULL) return 1;
  lua_pushnil(L);
  lua_pushstring(L, why);
  return 2;
}

/* initial() -> response | nil where the server speaks first */
static int initial(lua_State *L) {
  struct lm_str response;
  if (!lm_sasl_initial(self(L), &response)) return 0;
  lm_pushstr(L, response);
  return 1;
}

/* step(challenge) -> response | nil, reason: then cancel. nil is a challenge that was no base64. */
static int step(lua_State *L) {
  struct lm_sasl *s = self(L);
  struct lm_str response;
  enum lm_sasl_answer answer = lm_sasl_step(s, lm_optstr(L, 2), &response);
  if (answer == LM_SASL_SEND) {
    lm_pushstr(L, response);
    return 1;
  }
  lua_pushnil(L);
  lua_pushstring(L, answer == LM_SASL_MEMORY ? "out of memory" : lm_sasl_why(s));
  return 2;
}

/* done() -> boolean: whether a success may be believed */
static int done(lua_State *L) {
  lua_pushboolean(L, lm_sasl_done(self(L)));
  return 1;
}

static int release(lua_State *L) {
  struct exchange *x = lm_checkself(L);
  lm_sasl_free(x->sasl);
  x->sasl = NULL;
  return 0;
}

/* sasl_mechanisms() -> array of {name=, plaintext=, wants_secret=}, strongest first */
static int sasl_mechanisms(lua_State *L) {
  const struct lm_sasl_mechanism *const *m = lm_sasl_mechanisms();
  int i;
  lua_newtable(L);
  for (i = 0; m[i]; i++) {
    lua_createtable(L, 0, 3);
    lua_pushstring(L, m[i]->name);
    lua_setfield(L, -2, "name");
    lua_pushboolean(L, m[i]->plaintext);
    lua_setfield(L, -2, "plaintext");
    lua_pushboolean(L, m[i]->wants_secret);
    lua_setfield(L, -2, "wants_secret");
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

/* base64(octets) -> text: what a secret looks like on the wire, for those who mask it */
static int base64(lua_State *L) {
  struct lm_str s = lm_checkstr(L, 1);
  struct lm_buf b = {NULL, 0, 0, 0};
  size_t i, n = (s.n + 2) / 3 * 4;
  luaL_Buffer out;
  if (!lm_base64_encode(&b, s)) {
    lm_buf_free(&b);
    return luaL_error(L, "out of memory");
  }
  luaL_buffinit(L, &out);
  for (i = 0; i < n; i++) luaL_addchar(&out, b.p[i]);
  luaL_pushresult(&out);
  lm_buf_wipe(&b);
  return 1;
}

static const luaL_Reg methods[] = {
    {"initial", initial}, {"step", step}, {"done", done}, {"free", release}, {NULL, NULL},
};

static const luaL_Reg meta[] = {{"__gc", release}, {NULL, NULL}};

void lm_open_sasl(lua_State *L) {
  lm_newclass(L, "sasl_class", "mail.sasl", methods, meta);
  lua_getfield(L, -1, "sasl_class");
  lua_pushcclosure(L, sasl, 1);
  lua_setfield(L, -2, "sasl");
  lua_pushcfunction(L, sasl_mechanisms);
  lua_setfield(L, -2, "sasl_mechanisms");
  lua_pushcfunction(L, base64);
  lua_setfield(L, -2, "base64");
}
