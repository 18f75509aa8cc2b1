-- What luv and copas ask of their users, told in words: coroutines, versions, errors that nobody catches. Each is a
-- program of its own, by the interpreter that runs the spec. And what says that it needs nginx, outside of it.

local child = require "spec.support.child"
local servers = require "spec.servers"

-- What a program printed, and whether it ended well. `packages` finds what is unpacked for the suite.
local function run(text)
  local ok, out = child.shell("( " .. child.lua() .. "-e " .. child.quote([[
    local packages = require "spec.support.packages"
    local function library(name, package)
      packages.add("hosts", package)
      local module = packages.load(name)
      if not module then print "missing" os.exit(0) end
      return module
    end
    local loop = require "mail.loop"
    local imap = require "mail.imap"
    local function connect(which)
      return imap.connect { host = "127.0.0.1", port = 1, tls = "none", login = false, loop = which }
    end
  ]] .. text) .. " )")
  return ok, out
end

describe("luv", function()
  it("is asked for by name, and refuses outside of a coroutine", function()
    local ok, out = run [[
      library("luv", "lua-luv")
      print(loop.host().name)
      local session, err = connect "luv"
      print(session, err.kind, err.message)
      local slept, why = pcall(loop.adapter "luv".sleep, 0)
      print(slept, why.kind)
    ]]
    if out == "missing" then return pending "lua-luv is not there for this Lua" end
    assert.is_true(ok, out)
    assert.equal(table.concat({ "native", "nil\tunsupported\tmail.io.luv: what waits must run in a coroutine, which "
      .. "uv.run() then resumes", "false\tunsupported" }, "\n"), out)
  end)

  it("does not swallow an error in a coroutine: the program ends with it", function()
    local ok, out = run [[
      local uv = library("luv", "lua-luv")
      local luv = loop.adapter "luv"
      luv.spawn(function()
        luv.sleep(0.01)
        error "a bug of the user's"
      end)
      uv.run()
      print "and goes on"
    ]]
    if out == "missing" then return pending "lua-luv is not there for this Lua" end
    assert.is_false(ok)
    assert.matches("a bug of the user's", out, 1, true)
    assert.matches("stack traceback", out, 1, true)
    assert.is_nil(out:find("goes on", 1, true))
  end)

  it("does not let a peer that is gone end the program by SIGPIPE", function()
    local ok, out = run [[
      local uv = library("luv", "lua-luv")
      loop.adapter "luv"
      local pair = uv.pipe()
      local reader, writer = uv.new_pipe(false), uv.new_pipe(false)
      reader:open(pair.read)
      writer:open(pair.write)
      reader:close(function() writer:write("octets", function(failure) print(failure) writer:close() end) end)
      uv.run()
    ]]
    if out == "missing" then return pending "lua-luv is not there for this Lua" end
    assert.is_true(ok, out)
    assert.equal("EPIPE", out)
  end)

  it("leaves the program to end when nobody waits any more", function()
    local ok, out = run [[
      local uv = library("luv", "lua-luv")
      coroutine.wrap(function() print((select(2, connect "luv")).kind) end)()
      uv.run()
      print "ended"
    ]]
    if out == "missing" then return pending "lua-luv is not there for this Lua" end
    assert.is_true(ok, out)
    assert.equal("connect\nended", out)
  end)
end)

describe("copas", function()
  it("before version 4 is refused by name, and never chosen", function()
    local ok, out = run [[
      local copas = library("copas", "lua-copas")
      print(copas._VERSION:match "%d" < "4" and "old" or "new")
      print(pcall(loop.use, "copas"))
      copas.addthread(function() print(loop.host().name) end)
      for _ = 1, 3 do copas.step(0) end -- the loop of that copas has no end
    ]]
    if out == "missing" or out:find "^new" then return pending "no old copas for this Lua" end
    assert.is_true(ok, out)
    assert.matches("copas 4 or later is needed, this is 1.1.7", out, 1, true)
    assert.matches("native$", out)
  end)

  it("is chosen in its threads while its loop runs, and refuses elsewhere", function()
    local ok, out = run [[
      packages.add("hosts", "lua-socket")
      local lua, folder = _VERSION:match "%d%.%d", os.getenv "COPAS4" or ""
      package.path = ("%s/?.lua;%s/?/init.lua;%s/share/lua/%s/?.lua;%s/share/lua/%s/?/init.lua;")
        :format(folder, folder, folder, lua, folder, lua) .. package.path
      package.cpath = ("%s/lib/lua/%s/?.so;"):format(folder, lua) .. package.cpath
      local copas = packages.load "copas"
      if not copas or copas._VERSION:match "%d" < "4" then print "missing" os.exit(0) end
      print(loop.host().name)
      print(select(2, connect "copas").kind)
      copas.addthread(function()
        print(loop.host().name)
        print(select(2, connect()).kind)
      end)
      copas.loop()
      print(loop.host().name)
    ]]
    if out == "missing" then return pending "copas 4 is neither on the path nor under COPAS4" end
    assert.is_true(ok, out)
    assert.equal("native\nunsupported\ncopas\nconnect\nnative", out)
  end)
end)

describe("Outside of nginx", function()
  it("mail.resty says so", function()
    local resty = require "mail".resty
    local smtp = { host = "127.0.0.1", tls = "none" }
    local ok, err = resty.send_later { smtp = smtp, from = "a@b.c", to = "a@b.c", message = "" }
    assert.is_nil(ok)
    assert.equal("unsupported", err.kind)
    ok, err = resty.owner("x", { smtp = smtp })
    assert.is_nil(ok)
    assert.equal("unsupported", err.kind)
    ok, err = require "mail".smtp.connect { host = "127.0.0.1", tls = "none", loop = "openresty" }
    assert.is_nil(ok)
    assert.equal("unsupported", err.kind)
    assert.has_error(function() resty.owner("x", { smtp = smtp, imap = smtp }) end)
    assert.has_error(function() resty.owner("x", { queue = 1 }) end)
    assert.has_error(function() resty.owner("x", { smtp = smtp, ques = 1 }) end)
    assert.has_error(function() resty.owner("x", { smtp = { hots = 1 } }) end)
  end)

  it("has no keepalive of SMTP sessions, and no TLS of the host's", function()
    local server, missing = servers.exim { users = 1 }
    if not server then return pending(missing) end
    local session = assert(require "mail.smtp".connect { host = "127.0.0.1", port = server.ports.smtp, tls = "none" })
    local ok, err = session:keepalive()
    assert.is_nil(ok)
    assert.equal("unsupported", err.kind)
    assert.is_true(session:quit())
    local _, refused = require "mail.smtp".connect { host = "localhost", port = 1, tls = "implicit", tls_by = "host" }
    assert.equal("unsupported", refused.kind)
  end)
end)
