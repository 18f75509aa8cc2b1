# lua-mail: build, test, check, demo, bench, fuzz, doc, install.   `make help` lists what there is.
#
# One shared object for one Lua: build/$(LUA)/mail/core.so, from every csrc/*/*.c.  The Lua is named by
# LUA=lua5.1|lua5.2|lua5.3|lua5.4|luajit; the variables that LuaRocks hands over are honored below.
LUA        ?= lua5.4
PREFIX     ?= /usr/local
LUA_SHORT   = $(shell $(LUA) -e 'io.write((_VERSION:gsub("Lua ", "")))')
LUADIR     ?= $(PREFIX)/share/lua/$(LUA_SHORT)
LIBDIR     ?= $(PREFIX)/lib/lua/$(LUA_SHORT)
CFLAGS     ?= -O2 -g
LIBFLAG    ?= $(if $(filter Darwin,$(shell uname)),-bundle -undefined dynamic_lookup,-shared)
# The library stays where it is once it was loaded: a finalizer of the host's may make objects of ours while
# its state is being closed, and LuaJIT collects those after it has let go of the library.
PIN      := $(if $(filter Darwin,$(shell uname)),,-Wl,-z,nodelete)
FUZZ_SECONDS ?= 10

# Where headers and libraries are: what was given, else what pkg-config knows, else the plain names.
pc        = $(shell for n in $(2); do pkg-config $(1) $$n 2>/dev/null && exit; done; echo '$(3)')
lua_name  = $(notdir $(LUA))
lua_names = $(lua_name) $(lua_name:lua5.%=lua-5.%) $(lua_name:lua5.%=lua5%)
lua_inc  := $(if $(LUA_INCDIR),-I$(LUA_INCDIR),$(call pc,--cflags,$(lua_names),-I/usr/include/$(lua_name)))
ssl_dirs := $(if $(OPENSSL_DIR),-I$(OPENSSL_DIR)/include) $(if $(OPENSSL_INCDIR),-I$(OPENSSL_INCDIR))
ssl_libs := $(if $(OPENSSL_DIR),-L$(OPENSSL_DIR)/lib) $(if $(OPENSSL_LIBDIR),-L$(OPENSSL_LIBDIR)) \
            $(if $(OPENSSL_DIR)$(OPENSSL_LIBDIR),-lssl -lcrypto,$(call pc,--libs,openssl,-lssl -lcrypto))
# GSSAPI is there or not: whether pkg-config knows MIT's Kerberos decides, and LM_GSSAPI= leaves it out.
kerberos := "mit-krb5-gssapi mit-krb5"
gss_libs := $(call pc,--libs,$(kerberos))
LM_GSSAPI ?= $(if $(gss_libs),$(call pc,--cflags,$(kerberos)) -DLM_GSSAPI)
LIBS     := $(if $(LUA_LIBDIR),-L$(LUA_LIBDIR)) $(ssl_libs) $(call pc,--libs,libcares,-lcares) \
            $(call pc,--libs,libidn2,-lidn2) -lunistring $(call pc,--libs,zlib,-lz) $(if $(LM_GSSAPI),$(gss_libs))

# LuaRocks names no LUA, only its headers: those builds get a folder of their own.
BUILD    ?= build/$(if $(LUA_INCDIR),rocks$(subst /,-,$(LUA_INCDIR)),$(lua_name))
SOURCES  := $(sort $(wildcard csrc/*/*.c))
HEADERS  := $(sort $(wildcard csrc/*/*.h))
OBJECTS  := $(SOURCES:%.c=$(BUILD)/obj/%.o)
# A host with this Lua inside (spec/embed), where the Lua is there as a library.
lua_libs := $(call pc,--libs,$(lua_names))
EMBED    := $(if $(strip $(lua_libs)),$(BUILD)/spec/embed/states)
PURE     := $(filter-out $(BUILD)/obj/csrc/bind/%,$(OBJECTS))
# Tests of the binding have a Lua inside, too.
BINDTESTS := $(if $(strip $(lua_libs)),$(patsubst %.c,$(BUILD)/%,$(sort $(wildcard spec/c/bind_*_test.c))))
CTESTS   := $(BINDTESTS) $(patsubst %.c,$(BUILD)/%,$(filter-out spec/c/bind_%,$(sort $(wildcard spec/c/*_test.c))))
FUZZERS  := $(patsubst %.c,$(BUILD)/%,$(sort $(wildcard spec/fuzz/*_fuzz.c)))
# The same targets over their corpora alone, without libFuzzer.
REPLAYS  := $(FUZZERS:%_fuzz=%_replay)
LUAFILES  = $(shell find lua -name '*.lua')
WARN     := -std=c99 -pedantic -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes \
            -Wmissing-prototypes -Wundef -Wwrite-strings -Wcast-qual -Wvla
# Files and messages beyond 2 GiB on systems of 32 bits.
CPP      := -D_FILE_OFFSET_BITS=64 -Icsrc $(subst -I,-isystem ,$(lua_inc)) $(ssl_dirs)
COMPILE   = $(CC) $(WARN) $(WERROR) $(CFLAGS) -fPIC -fvisibility=hidden $(SANITIZE) $(CPP)
SANITIZERS := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
# The n-th allocation fails: only those tests see the wrapped functions.
WRAP      = $(if $(filter %_alloc_test,$@),-Wl$(comma)--wrap=malloc$(comma)--wrap=realloc$(comma)--wrap=calloc)
comma    := ,
TREE_PATH  = $(CURDIR)/lua/?.lua;$(CURDIR)/lua/?/init.lua;$(CURDIR)/?.lua;$(CURDIR)/?/init.lua;;
TREE_CPATH = $(CURDIR)/$(BUILD)/?.so;;
RUN       = LUA_PATH='$(TREE_PATH)' LUA_CPATH='$(TREE_CPATH)' $(LUA)
TOOL      = $(LUA) spec/tools

.PHONY: all help deps test test-all test-build bindings embed check stats hosts-table headers format demo game-demo openresty-demo \
        bench fuzz fuzzers env doc install clean FORCE
all: $(BUILD)/mail/core.so

$(BUILD)/mail/core.so: $(OBJECTS)
	@mkdir -p $(@D)
	$(CC) $(LIBFLAG) $(PIN) $(SANITIZE) -o $@ $^ $(LDFLAGS) $(LIBS)

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(COMPILE) -MMD -MP -c $< -o $@

# What is compiled with those flags follows when they change: the library came, or went.
GSS_OBJECTS := $(filter $(BUILD)/obj/csrc/gss/%,$(OBJECTS))
$(GSS_OBJECTS): CPP += $(LM_GSSAPI)
$(GSS_OBJECTS): $(BUILD)/gss.flags
$(BUILD)/gss.flags: FORCE
	@mkdir -p $(@D)
	@echo '$(strip $(LM_GSSAPI) $(gss_libs))' | cmp -s - $@ || echo '$(strip $(LM_GSSAPI) $(gss_libs))' > $@
FORCE:

$(BUILD)/spec/c/%: spec/c/%.c $(PURE)
	@mkdir -p $(@D)
	$(COMPILE) -Ispec/c -MMD -MP -MF $@.d $< $(PURE) -o $@ $(WRAP) $(LDFLAGS) $(LIBS)

$(BUILD)/spec/c/bind_%: spec/c/bind_%.c $(OBJECTS)
	@mkdir -p $(@D)
	$(COMPILE) -Ispec/c -MMD -MP -MF $@.d $< $(OBJECTS) -o $@ $(WRAP) $(LDFLAGS) $(LIBS) $(lua_libs)

$(BUILD)/spec/embed/%: spec/embed/%.c
	@mkdir -p $(@D)
	$(COMPILE) -pthread -MMD -MP -MF $@.d $< -o $@ $(LDFLAGS) $(lua_libs)

$(BUILD)/spec/fuzz/%: spec/fuzz/%.c $(PURE)
	@mkdir -p $(@D)
	$(COMPILE) -MMD -MP -MF $@.d $< $(PURE) -o $@ -fsanitize=fuzzer $(LDFLAGS) $(LIBS)
$(BUILD)/spec/fuzz/%_replay: spec/fuzz/%_fuzz.c spec/fuzz/replay.c $(PURE)
	@mkdir -p $(@D)
	$(COMPILE) -MMD -MP -MF $@.d $< spec/fuzz/replay.c $(PURE) -o $@ $(LDFLAGS) $(LIBS)
fuzzers: $(FUZZERS)

help:
	@echo 'make [LUA=lua5.4]   build/$(LUA)/mail/core.so     make deps      packages that are missing'
	@echo 'make test           C tests, specs on two Luas    make test-all  specs on all five'
	@echo 'make check          sanitizers, layers, style     make stats     sizes of functions'
	@echo 'make demo           real mail, real servers       make bench     ratios against peers'
	@echo 'make openresty-demo  a site in nginx that sends, reads and watches mail'
	@echo 'make fuzz           FUZZ_SECONDS=10 each          make env       paths for this tree'
	@echo 'make install        PREFIX=/usr/local             make doc       build/doc (LDoc)'
	@echo 'make hosts-table    checks by host loop, into spec/README.md'

# Packages: nothing is fetched when nothing is missing; what cannot be had is named and we go on.
DEPS  = @sh spec/tools/deps.sh
# A make of its own, since headers and pkg-config may have come a moment ago.
AGAIN = @$(MAKE) --no-print-directory -s -j$(or $(shell nproc 2>/dev/null),2)
deps:
	$(DEPS) build test all check servers

bindings: $(filter-out $(PURE),$(OBJECTS))
embed: all $(EMBED)
test-build: embed $(CTESTS) $(REPLAYS)
test:
	$(DEPS) build test servers
	@$(TOOL)/run.lua test $(LUA) $(filter-out $(LUA),luajit)
test-all:
	$(DEPS) build test all servers
	@$(TOOL)/run.lua test lua5.4 lua5.1 lua5.2 lua5.3 luajit
check:
	$(DEPS) build test check servers
	@$(TOOL)/run.lua check $(LUA)
stats:
	@$(TOOL)/stats.lua
# Each host loop under Lua 5.4 and LuaJIT, and what came of it as the table in spec/README.md.
hosts-table:
	$(DEPS) build test servers
	$(AGAIN) all LUA=lua5.4
	$(AGAIN) all LUA=luajit
	eval "$$($(MAKE) -s env LUA=lua5.4)"; lua5.4 spec/tools/busted.lua spec/hosts_spec.lua || :
	eval "$$($(MAKE) -s env LUA=luajit)"; LM_HOSTS_TABLE=1 luajit spec/tools/busted.lua spec/hosts_spec.lua
headers:
	@for h in $(HEADERS); do echo "#include \"$$h\"" | \
	  $(CC) $(WARN) -Werror -I. $(CPP) -fsyntax-only -x c - || { echo "not alone: $$h"; exit 1; }; done
$(BUILD)/unpreload.so: spec/tools/unpreload.c
	@mkdir -p $(@D)
	$(CC) -shared -fPIC -o $@ $<

demo:
	$(DEPS) build test servers
	$(AGAIN) all
	@$(RUN) spec/demo/demo.lua
game-demo:
	$(DEPS) build test servers
	$(AGAIN) all
	@$(RUN) spec/demo/game.lua $(GAME)
openresty-demo:
	$(DEPS) build test servers
	$(AGAIN) all
	@$(RUN) spec/demo/openresty.lua
bench:
	$(DEPS) build test servers bench
	$(AGAIN) all
	@$(RUN) spec/bench/run.lua $(BENCH)
fuzz:
	$(DEPS) build fuzz
	@$(TOOL)/fuzz.lua $(FUZZ_SECONDS)
format:
	find csrc spec -name '*.[ch]' | xargs -r clang-format -i

env:
	@echo "export LUA_PATH='$(TREE_PATH)' LUA_CPATH='$(TREE_CPATH)'"
doc:
	$(DEPS) doc
	ldoc -q --fatalwarnings -d build/doc -p lua-mail -f backtick lua
install: all
	@for f in $(LUAFILES:lua/%=%); do mkdir -p "$(DESTDIR)$(LUADIR)/$${f%/*}" && \
	  install -m 644 lua/$$f "$(DESTDIR)$(LUADIR)/$$f" || exit 1; done
	mkdir -p '$(DESTDIR)$(LIBDIR)/mail'
	install -m 755 $(BUILD)/mail/core.so '$(DESTDIR)$(LIBDIR)/mail/core.so'
clean:
	rm -rf build

-include $(OBJECTS:.o=.d) $(CTESTS:=.d) $(REPLAYS:=.d) $(EMBED:=.d)
