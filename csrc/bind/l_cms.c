/*
** l_cms.c: what S/MIME is made of, for Lua: certificates, own keys, trust, CMS objects.
**
** core.cms_certs, core.cms_identity, core.cms_trust, core.cms_maker, core.cms_read. Octets alone; MIME,
** and what a verdict is worth, is Lua's: lua/mail/smime.lua. Refusals are nil and words.
*/
#include <string.h>

#include "bind/bind.h"
#include "bind/open.h"
#include "bind/push_mime.h"
#include "tls/cms.h"
#include "zlib/inflate.h"

/* One object of each class: a userdata that holds a pointer, and buffers that are collected whatever
** raises. */
struct holder {
  void *held;
  struct lm_buf why;
  struct lm_buf out;
  struct lm_cert_facts facts;
  bool halfway; /* a part of the object is being made and pushed; still so later: it is lost */
};

/* The marks of the classes: what an argument must be. */
static char certs_key, identity_key, trust_key;

static void tidy(struct holder *h) {
  lm_buf_free(&h->why);
  lm_buf_wipe(&h->out);
  lm_cert_facts_free(&h->facts);
}

static struct holder *fresh(lua_State *L) {
  return lm_newobject(L, sizeof(struct holder), lua_upvalueindex(1));
}

static struct holder *checkheld(lua_State *L) {
  struct holder *h = lm_checkself(L);
  if (h->held == NULL) luaL_error(L, "the object is gone");
  return h;
}

/* What a call works in, collected behind it: an object that holds nothing. Not in the object that is asked: a
** finalizer may ask that, too, while an answer is pushed. The arguments were checked before. */
static struct holder *room(lua_State *L) {
  return fresh(L);
}

/* nil, words. Empty words: memory. */
static int refused(lua_State *L, struct holder *h) {
  if (lm_buf_len(&h->why) == 0) return lm_no_memory(L);
  lua_pushnil(L);
  lm_pushstr(L, lm_buf_str(&h->why));
  return 2;
}

/* What was written to `out`. */
static int push_out(lua_State *L, struct holder *h) {
  lm_pushstr(L, lm_buf_str(&h->out));
  lm_buf_clear(&h->out);
  return 1;
}

/* Argument `i` as what an object of the class marked with `key` holds. */
static void *checkmarked(lua_State *L, int i, const void *key, const char *what) {
  struct holder *h = lua_touserdata(L, i);
  int marked = 0;
  if (h && lua_getmetatable(L, i)) {
    lua_rawgetp(L, -1, key);
    marked = lua_toboolean(L, -1);
    lua_pop(L, 2);
  }
  if (!marked || h->held == NULL) luaL_argerror(L, i, lua_pushfstring(L, "%s expected", what));
  return h->held;
}

static void *optmarked(lua_State *L, int i, const void *key, const char *what) {
  return lua_isnoneornil(L, i) ? NULL : checkmarked(L, i, key, what);
}

/* --- option tables ------------------------------------------------------------------------------- */

/* Pushes what the table itself holds: a metamethod would be Lua called from C, and nothing would keep what
** it makes. */
static void raw_field(lua_State *L, int i, const char *name) {
  lua_pushstring(L, name);
  lua_rawget(L, i);
}

/* It stays on the stack: a finalizer may change the table. */
static struct lm_str string_field(lua_State *L, int i, const char *name) {
  struct lm_str s = LM_NOSTR;
  raw_field(L, i, name);
  if (lua_type(L, -1) == LUA_TSTRING) {
    s.p = lua_tolstring(L, -1, &s.n);
  } else if (!lua_isnil(L, -1)) {
    luaL_error(L, "option '%s' must be a string", name);
  }
  return s;
}

static bool flag_field(lua_State *L, int i, const char *name) {
  bool on;
  raw_field(L, i, name);
  on = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return on;
}

static int64_t time_field(lua_State *L, int i, const char *name) {
  lua_Number n;
  raw_field(L, i, name);
  n = lua_tonumber(L, -1);
  lua_pop(L, 1);
  if (!(n > -1e11 && n < 1e12)) luaL_error(L, "option '%s' must be a time", name);
  return (int64_t)n;
}

/* An object of a marked class. It stays on the stack, too. */
static void *object_field(lua_State *L, int i, const char *name, const void *key) {
  raw_field(L, i, name);
  return optmarked(L, lua_gettop(L), key, name);
}

/* --- facts --------------------------------------------------------------------------------------- */

static void set_text(lua_State *L, const char *name, const struct lm_buf *text) {
  lm_pushstr(L, lm_buf_str(text));
  lua_setfield(L, -2, name);
}

static void set_time(lua_State *L, const char *name, int64_t t) {
  lm_push_epoch(L, t);
  lua_setfield(L, -2, name);
}

static void set_emails(lua_State *L, struct lm_str all) {
  int n = 0;
  lua_newtable(L);
  while (all.n > 0) {
    size_t size = strlen(all.p); /* each has its NUL behind it */
    lua_pushlstring(L, all.p, size);
    lua_rawseti(L, -2, ++n);
    all.p += size + 1;
    all.n -= size + 1;
  }
  lua_setfield(L, -2, "emails");
}

/* Sets the fields of the table on the top, and empties the facts. */
static void set_facts(lua_State *L, struct holder *h) {
  set_text(L, "subject", &h->facts.subject);
  set_text(L, "issuer", &h->facts.issuer);
  set_text(L, "serial", &h->facts.serial);
  set_text(L, "fingerprint", &h->facts.fingerprint);
  set_text(L, "certificate", &h->facts.pem);
  set_time(L, "not_before", h->facts.not_before);
  set_time(L, "not_after", h->facts.not_after);
  set_emails(L, lm_buf_str(&h->facts.emails));
  lm_cert_facts_free(&h->facts);
}

/* --- certificates -------------------------------------------------------------------------------- */

/* cms_certs() -> an empty list of certificates */
static int new_certs(lua_State *L) {
  struct holder *h = fresh(L);
  h->held = lm_certs_new();
  return h->held ? 1 : lm_no_memory(L);
}

/* certs:add(PEM or DER) -> true | nil, why */
static int certs_add(lua_State *L) {
  struct holder *h = checkheld(L), *r;
  struct lm_str text = lm_checkstr(L, 2);
  r = room(L);
  if (!lm_certs_add(h->held, text, &r->why)) return refused(L, r);
  lua_pushboolean(L, 1);
  return 1;
}

/* certs:count() -> certificates, revocation lists */
static int certs_count(lua_State *L) {
  struct holder *h = checkheld(L);
  lua_pushinteger(L, (lua_Integer)lm_certs_count(h->held));
  lua_pushinteger(L, (lua_Integer)lm_certs_lists(h->held));
  return 2;
}

/* certs:facts(i from 1 on) -> {subject=, issuer=, serial=, emails=, fingerprint=, certificate= (PEM),
** not_before=, not_after=} */
static int certs_facts(lua_State *L) {
  struct holder *h = checkheld(L), *r;
  lua_Integer i = luaL_checkinteger(L, 2);
  luaL_argcheck(L, i >= 1 && (size_t)i <= lm_certs_count(h->held), 2, "no such certificate");
  r = room(L);
  if (!lm_certs_facts(h->held, (size_t)i - 1, &r->facts)) return lm_no_memory(L);
  lua_createtable(L, 0, 8);
  set_facts(L, r);
  return 1;
}

static int certs_free(lua_State *L) {
  struct holder *h = lm_checkself(L);
  lm_certs_free(h->held);
  h->held = NULL;
  tidy(h);
  return 0;
}

/* --- own keys ------------------------------------------------------------------------------------ */

/* cms_identity{certificate=, key=, pkcs12=, passphrase=} -> identity | nil, why */
static int new_identity(lua_State *L) {
  struct lm_cms_secret s;
  struct holder *h;
  luaL_checktype(L, 1, LUA_TTABLE);
  s.certificate = string_field(L, 1, "certificate");
  s.key = string_field(L, 1, "key");
  s.pkcs12 = string_field(L, 1, "pkcs12");
  s.passphrase = string_field(L, 1, "passphrase");
  h = fresh(L);
  h->held = lm_cms_id_new(&s, &h->why);
  return h->held ? 1 : refused(L, h);
}

/* identity:facts() -> as of certs:facts; nil where there is no certificate */
static int identity_facts(lua_State *L) {
  struct holder *h = checkheld(L), *r = room(L);
  if (!lm_cms_id_facts(h->held, &r->facts)) return r->facts.missing ? 0 : lm_no_memory(L);
  lua_createtable(L, 0, 8);
  set_facts(L, r);
  return 1;
}

/* identity:digest() -> "sha256" | "sha512": what suits its key */
static int identity_digest(lua_State *L) {
  lua_pushstring(L, lm_cms_id_digest(checkheld(L)->held));
  return 1;
}

static int identity_free(lua_State *L) {
  struct holder *h = lm_checkself(L);
  lm_cms_id_free(h->held);
  h->held = NULL;
  tidy(h);
  return 0;
}

/* --- trust --------------------------------------------------------------------------------------- */

/* cms_trust(certs, or nil for the system's) -> trust | nil, why */
static int new_trust(lua_State *L) {
  const struct lm_certs *roots = optmarked(L, 1, &certs_key, "certificates");
  struct holder *h = fresh(L);
  h->held = lm_cms_trust_new(roots, &h->why);
  return h->held ? 1 : refused(L, h);
}

static int trust_free(lua_State *L) {
  struct holder *h = lm_checkself(L);
  lm_cms_trust_free(h->held);
  h->held = NULL;
  tidy(h);
  return 0;
}

/* --- making -------------------------------------------------------------------------------------- */

/* cms_maker("detached" | "opaque" | "sealed" [, cipher]) -> maker | nil, why */
static int new_maker(lua_State *L) {
  static const char *const forms[] = {"detached", "opaque", "sealed", NULL};
  int form = luaL_checkoption(L, 1, NULL, forms);
  struct lm_str cipher = lm_optstr(L, 2);
  struct holder *h = fresh(L);
  h->held = lm_cms_maker_new((enum lm_cms_form)form, cipher, &h->why);
  return h->held ? 1 : refused(L, h);
}

static int done(lua_State *L, struct holder *h, bool well) {
  if (!well) return refused(L, h);
  lua_pushboolean(L, 1);
  return 1;
}

/* maker:signer(identity, {digest=, pss=, time=}) -> true | nil, why */
static int maker_signer(lua_State *L) {
  struct holder *h = checkheld(L), *r;
  const struct lm_cms_id *id = checkmarked(L, 2, &identity_key, "an identity");
  struct lm_cms_manner how;
  luaL_checktype(L, 3, LUA_TTABLE);
  how.digest = string_field(L, 3, "digest");
  how.pss = flag_field(L, 3, "pss");
  how.time = time_field(L, 3, "time");
  r = room(L);
  return done(L, r, lm_cms_maker_sign(h->held, id, &how, &r->why));
}

/* maker:chain(certs) -> true | nil, why */
static int maker_chain(lua_State *L) {
  struct holder *h = checkheld(L);
  const struct lm_certs *c = checkmarked(L, 2, &certs_key, "certificates");
  struct holder *why = room(L);
  return done(L, why, lm_cms_maker_chain(h->held, c, &why->why));
}

/* maker:recipient(certs, i, "pkcs1" | "oaep", time) -> true | nil, why */
static int maker_recipient(lua_State *L) {
  static const char *const paddings[] = {"pkcs1", "oaep", NULL};
  struct holder *h = checkheld(L), *why;
  struct lm_cms_recipient r;
  lua_Integer i = luaL_checkinteger(L, 3);
  r.certs = checkmarked(L, 2, &certs_key, "certificates");
  luaL_argcheck(L, i >= 1 && (size_t)i <= lm_certs_count(r.certs), 3, "no such certificate");
  r.i = (size_t)i - 1;
  r.padding = (enum lm_cms_padding)luaL_checkoption(L, 4, NULL, paddings);
  r.time = (int64_t)luaL_checknumber(L, 5);
  why = room(L);
  return done(L, why, lm_cms_maker_seal(h->held, &r, &why->why));
}

/* A maker of which nothing was lost: what it was given before, it would not make again. */
static struct holder *checkmaker(lua_State *L) {
  struct holder *h = checkheld(L);
  if (h->halfway) {
    luaL_error(L,
               "the maker is in use, or an earlier part of the object was not made, or was lost");
  }
  lm_buf_clear(&h->why);
  lm_buf_clear(&h->out);
  return h;
}

static int push_made(lua_State *L, struct holder *h, bool well) {
  h->halfway = true;
  if (!well) return refused(L, h);
  push_out(L, h);
  h->halfway = false;
  return 1;
}

/* maker:put(piece) -> what is ready | nil, why */
static int maker_put(lua_State *L) {
  struct holder *h = checkmaker(L);
  struct lm_str piece = lm_checkstr(L, 2);
  checkmaker(L); /* to make a string may collect, and a finalizer put something, too */
  return push_made(L, h, lm_cms_maker_put(h->held, piece, &h->out, &h->why));
}

/* maker:finish() -> the rest | nil, why */
static int maker_finish(lua_State *L) {
  struct holder *h = checkmaker(L);
  return push_made(L, h, lm_cms_maker_end(h->held, &h->out, &h->why));
}

static int maker_free(lua_State *L) {
  struct holder *h = lm_checkself(L);
  lm_cms_maker_free(h->held);
  h->held = NULL;
  tidy(h);
  return 0;
}

/* --- reading ------------------------------------------------------------------------------------- */

/* cms_read(DER or BER) -> object | nil, why */
static int new_object(lua_State *L) {
  struct lm_str octets = lm_checkstr(L, 1);
  struct holder *h = fresh(L);
  h->held = lm_cms_read(octets, &h->why);
  return h->held ? 1 : refused(L, h);
}

/* object:kind() -> "signed-data", "certs-only", "enveloped-data", "authEnveloped-data",
** "compressed-data"; nil for others */
static int object_kind(lua_State *L) {
  static const char *const names[] = {"signed-data",        "certs-only",      "enveloped-data",
                                      "authEnveloped-data", "compressed-data", NULL};
  struct holder *h = checkheld(L);
  lua_pushstring(L, names[lm_cms_kind(h->held)]);
  return 1;
}

/* object:content() -> the octets that are signed; nil where they are not in it */
static int object_content(lua_State *L) {
  struct lm_str text = lm_cms_content(checkheld(L)->held);
  if (text.p == NULL) return 0;
  lm_pushstr(L, text);
  return 1;
}

/* object:inflate() -> what was compressed | nil, why */
static int object_inflate(lua_State *L) {
  struct holder *h = checkheld(L), *r = room(L);
  struct lm_str text = lm_cms_content(h->held);
  enum lm_inflate got = text.p ? lm_inflate(text, &r->out) : LM_INFLATE_BAD;
  if (got == LM_INFLATE_OK) return push_out(L, r);
  if (got == LM_INFLATE_MEMORY) return lm_no_memory(L);
  lua_pushnil(L);
  lua_pushstring(L, got == LM_INFLATE_BAD ? "it was not compressed by zlib, or is not whole"
                                          : "limit passed: what it grows to");
  return 2;
}

/* object:certs() -> the certificates in it */
static int object_certs(lua_State *L) {
  struct holder *h = checkheld(L), *list;
  list = lm_newobject(L, sizeof *list, lua_upvalueindex(2));
  list->held = lm_cms_certs(h->held);
  return list->held ? 1 : lm_no_memory(L);
}

/* object:digest_begin() -> true | nil, why */
static int object_digest_begin(lua_State *L) {
  struct holder *h = checkheld(L), *r = room(L);
  return done(L, r, lm_cms_digest_begin(h->held, &r->why));
}

/* object:digest(piece): of content that is not in it */
static int object_digest(lua_State *L) {
  struct holder *h = checkheld(L);
  if (!lm_cms_digest(h->held, lm_checkstr(L, 2))) return luaL_error(L, "nothing is digested");
  return 0;
}

static void set_signer(lua_State *L, const struct lm_cms_signer *s) {
  static const char *const faults[LM_CMS_FAULTS] = {
      NULL,        "altered", "forged",  "malformed", "weak", "unknown",
      "untrusted", "expired", "revoked", "purpose",   "time", "unsupported"};
  lua_pushstring(L, faults[s->fault]);
  lua_setfield(L, -2, "fault");
  lua_pushstring(L, s->why);
  lua_setfield(L, -2, "why");
  lua_pushstring(L, s->digest);
  lua_setfield(L, -2, "digest");
  if (s->timed) set_time(L, "signing_time", s->time);
}

static int push_signers(lua_State *L, const struct holder *h, struct holder *r) {
  size_t i, n = lm_cms_signers(h->held);
  lua_createtable(L, (int)n, 0);
  for (i = 0; i < n; i++) {
    lua_createtable(L, 0, 12);
    set_signer(L, lm_cms_signer(h->held, i));
    if (lm_cms_signer_facts(h->held, i, &r->facts)) {
      set_facts(L, r);
    } else if (!r->facts.missing) {
      return lm_no_memory(L);
    }
    lua_rawseti(L, -2, (int)i + 1);
  }
  return 1;
}

/* object:judge{trust=, known=, lists=, time=, when_signed=, any_purpose=, allow_weak=} -> array of
** {fault=, why=, digest=, signing_time=, and the certificate's facts} | nil, why */
static int object_judge(lua_State *L) {
  struct holder *h = checkheld(L), *r;
  struct lm_cms_policy p;
  luaL_checktype(L, 2, LUA_TTABLE);
  p.trust = object_field(L, 2, "trust", &trust_key);
  p.known = object_field(L, 2, "known", &certs_key);
  p.lists = object_field(L, 2, "lists", &certs_key);
  p.time = time_field(L, 2, "time");
  p.when_signed = flag_field(L, 2, "when_signed");
  p.any_purpose = flag_field(L, 2, "any_purpose");
  p.allow_weak = flag_field(L, 2, "allow_weak");
  luaL_argcheck(L, p.trust != NULL, 2, "whom to trust is missing");
  r = room(L);
  return lm_cms_judge(h->held, &p, &r->why) ? push_signers(L, h, r) : refused(L, r);
}

/* object:decrypt(identity) -> octets, cipher | nil, why */
static int object_decrypt(lua_State *L) {
  struct holder *h = checkheld(L), *r;
  const struct lm_cms_id *id = checkmarked(L, 2, &identity_key, "an identity");
  const char *cipher = NULL;
  r = room(L);
  if (!lm_cms_decrypt(h->held, id, &r->out, &cipher, &r->why)) return refused(L, r);
  lm_pushstr(L, lm_buf_str(&r->out));
  lm_buf_wipe(&r->out);
  lua_pushstring(L, cipher);
  return 2;
}

static int object_free(lua_State *L) {
  struct holder *h = lm_checkself(L);
  lm_cms_free(h->held);
  h->held = NULL;
  tidy(h);
  return 0;
}

/* --- opening ------------------------------------------------------------------------------------- */

static const luaL_Reg certs_methods[] = {
    {"add", certs_add}, {"count", certs_count}, {"facts", certs_facts}, {NULL, NULL}};
static const luaL_Reg certs_meta[] = {{"__gc", certs_free}, {NULL, NULL}};

static const luaL_Reg identity_methods[] = {
    {"facts", identity_facts}, {"digest", identity_digest}, {NULL, NULL}};
static const luaL_Reg identity_meta[] = {{"__gc", identity_free}, {NULL, NULL}};

static const luaL_Reg trust_methods[] = {{NULL, NULL}};
static const luaL_Reg trust_meta[] = {{"__gc", trust_free}, {NULL, NULL}};

static const luaL_Reg maker_methods[] = {{"signer", maker_signer},       {"chain", maker_chain},
                                         {"recipient", maker_recipient}, {"put", maker_put},
                                         {"finish", maker_finish},       {NULL, NULL}};
static const luaL_Reg maker_meta[] = {{"__gc", maker_free}, {NULL, NULL}};

static const luaL_Reg object_methods[] = {
    {"kind", object_kind},       {"content", object_content},
    {"inflate", object_inflate}, {"digest_begin", object_digest_begin},
    {"digest", object_digest},   {"judge", object_judge},
    {"decrypt", object_decrypt}, {NULL, NULL}};
static const luaL_Reg object_meta[] = {{"__gc", object_free}, {NULL, NULL}};

/* core[name] = make, with the class under core[field] as its upvalue. */
static void set_maker(lua_State *L, const char *field, const char *name, lua_CFunction make) {
  lua_getfield(L, -1, field);
  lua_pushcclosure(L, make, 1);
  lua_setfield(L, -2, name);
}

static void mark(lua_State *L, const char *field, const void *key) {
  lua_getfield(L, -1, field);
  lua_pushboolean(L, 1);
  lua_rawsetp(L, -2, key);
  lua_pop(L, 1);
}

/* object:certs makes an object of another class: upvalue 2. */
static void add_certs_method(lua_State *L) {
  lua_getfield(L, -1, "cms_object_class");
  lua_getfield(L, -1, "__index");
  lua_pushvalue(L, -2);
  lua_getfield(L, -4, "cms_certs_class");
  lua_pushcclosure(L, object_certs, 2);
  lua_setfield(L, -2, "certs");
  lua_pop(L, 2);
}

void lm_open_cms(lua_State *L) {
  lm_newclass(L, "cms_certs_class", "mail.cms_certs", certs_methods, certs_meta);
  lm_newclass(L, "cms_identity_class", "mail.cms_identity", identity_methods, identity_meta);
  lm_newclass(L, "cms_trust_class", "mail.cms_trust", trust_methods, trust_meta);
  lm_newclass(L, "cms_maker_class", "mail.cms_maker", maker_methods, maker_meta);
  lm_newclass(L, "cms_object_class", "mail.cms_object", object_methods, object_meta);
  mark(L, "cms_certs_class", &certs_key);
  mark(L, "cms_identity_class", &identity_key);
  mark(L, "cms_trust_class", &trust_key);
  add_certs_method(L);
  set_maker(L, "cms_certs_class", "cms_certs", new_certs);
  set_maker(L, "cms_identity_class", "cms_identity", new_identity);
  set_maker(L, "cms_trust_class", "cms_trust", new_trust);
  set_maker(L, "cms_maker_class", "cms_maker", new_maker);
  set_maker(L, "cms_object_class", "cms_read", new_object);
}
