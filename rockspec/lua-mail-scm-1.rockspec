rockspec_format = "3.0"
package = "lua-mail"
version = "scm-1"
source = {
  url = "git+https://github.com/lua-mail/lua-mail.git",
}
description = {
  summary = "Mail for Lua: SMTP, POP3 and IMAP sessions in C, on whatever event loop the host has",
  detailed = [[
Six protocol sessions (SMTP, POP3, IMAP; client and server of each) live in a C core that does no I/O; a thin
Lua layer waits on the host's own loop: a plain script, coroutines, OpenResty, luv, cqueues or copas.]],
  homepage = "https://github.com/lua-mail/lua-mail",
  license = "MIT",
}
dependencies = {
  "lua >= 5.1, < 5.5",
}
external_dependencies = {
  OPENSSL = { header = "openssl/ssl.h", library = "ssl" },
  ZLIB = { header = "zlib.h", library = "z" },
  CARES = { header = "ares.h", library = "cares" },
  IDN2 = { header = "idn2.h", library = "idn2" },
  UNISTRING = { header = "unistr.h", library = "unistring" },
}
build = {
  type = "make",
  build_variables = {
    CFLAGS = "$(CFLAGS)",
    LIBFLAG = "$(LIBFLAG)",
    LUA_INCDIR = "$(LUA_INCDIR)",
    LUA_LIBDIR = "$(LUA_LIBDIR)",
    OPENSSL_INCDIR = "$(OPENSSL_INCDIR)",
    OPENSSL_LIBDIR = "$(OPENSSL_LIBDIR)",
  },
  install_variables = {
    LUA_INCDIR = "$(LUA_INCDIR)",
    PREFIX = "$(PREFIX)",
    LIBDIR = "$(LIBDIR)",
    LUADIR = "$(LUADIR)",
  },
}
