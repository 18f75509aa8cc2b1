--- What every event loop must do for lua-mail, as a list of checks against any adapter.
--
-- For an adapter of your own (see `mail.loop.adapter`) run this inside a coroutine of your loop:
--
--     local conformance = require "spec.io_conformance"
--     conformance.run {
--       host = my_adapter,          -- the table that `loop = my_adapter` would get
--       peer = ports,               -- NAME → port: what `lua spec/hosts/peer.lua` prints as NAME=PORT
--       report = function(verdict, name, why) print(verdict, name, why or "") end,
--     }
--
-- `verdict` is "ok", "not ok" or "skip" (with `why`). spec/hosts/native.lua is a whole program of that kind, and
-- spec/hosts/common.lua what such programs have in common. Nothing of busted is used. Further options:
--   dovecot  {host=, imap=, imaps=, user=, password=, ca_file=}: a real server, for TLS; its checks are skipped without
--   dns      "ADDRESS:PORT" of a name server with the records of spec/hosts_spec.lua, proxy  the URL of a SOCKS5 proxy:
--            the checks of names and tunnels are skipped without
--   cancel   function(handle): ends the wait of what `host.spawn` returned as handle; the waiting call must then
--            return nil and an error of kind "cancelled". Without it calls are ended by close and by time.
--   kills    true where `cancel` ends the coroutine itself, and nothing returns in it
--   closes   true where `cancel` is coroutine.close: what was closed is dead, and the session is there for the others
--   only     a pattern: the checks whose names match
--   skip     NAME → why: checks that this host cannot pass, and the reason
--
-- An adapter without `spawn` does one thing at a time: what needs two coroutines is skipped.
-- A check is `conformance.check(name, needs, function(c) … end)`: `needs` is a string with any of the words
-- "tasks", "cancel", "closes", "dovecot", "dns", "proxy", "descriptors" (adapters with `wait`), "streams" (those with
-- `dial`); `c` has the helpers of Context below. It fails by raising, and by hanging for longer than PATIENCE.

local imap = require "mail.imap"
local loop = require "mail.loop"
local smtp = require "mail.smtp"

local conformance = { checks = {} }

-- Seconds after which a check hangs, as seen by whoever waits for it.
local PATIENCE = 30

local unpack = table.unpack or unpack -- luacheck: ignore
local function pack(...) return { n = select("#", ...), ... } end

-- PUC Lua 5.1 cannot wait inside pcall: there a failed check ends the program.
local attempt = pcall
if _VERSION == "Lua 5.1" and not rawget(_G, "jit") then
  attempt = function(fn, ...) return true, fn(...) end
end

--- Adds a check to the list.
function conformance.check(name, needs, fn)
  for _, known in ipairs(conformance.checks) do
    if known.name == name then error("conformance: two checks are called '" .. name .. "'", 2) end
  end
  table.insert(conformance.checks, { name = name, needs = needs, fn = fn })
end

--- The names of all checks, in their order.
function conformance.names()
  local list = {}
  for i, check in ipairs(conformance.checks) do list[i] = check.name end
  return list
end

-- --- what a check works with ------------------------------------------------------------------------

local Context = {}
Context.__index = Context

--- Raises unless `ok`.
function Context.truth(ok, what)
  if not ok then error(what or "not true", 2) end
  return ok
end

--- Raises unless both are the same.
function Context.equal(want, got, what)
  if want ~= got then
    error(("%s: %s expected, got %s"):format(what or "a value", tostring(want), tostring(got)), 2)
  end
end

--- Raises unless `value, err` is a failure of one of these kinds.
function Context.failure(value, err, ...)
  if value ~= nil then error("no failure, but " .. tostring(value), 2) end
  local kind = type(err) == "table" and err.kind
  for _, want in ipairs { ... } do
    if kind == want then return err end
  end
  error(("kind %s expected, got %s (%s)"):format(table.concat({ ... }, " or "), tostring(kind), tostring(err)), 2)
end

local function with(c, o, more)
  o.loop, o.timeout = c.host, 20
  for name, value in pairs(more or {}) do o[name] = value end
  return o
end

local function keep(c, session, err)
  if session then c.opened[#c.opened + 1] = session end
  return session, err
end

--- Connects by SMTP to the peer of that name: session, or nil, err.
function Context:dial(name, more)
  return keep(self, smtp.connect(with(self, { host = "127.0.0.1", port = self.peer[name], tls = "none",
    helo = "me.example" }, more)))
end

--- The same, and must succeed.
function Context:smtp(more) return assert(self:dial("smtp", more)) end

--- Connects to the scripted IMAP server: session, or nil, err.
function Context:imap(more)
  return keep(self, imap.connect(with(self, { host = "127.0.0.1", port = self.peer.imap, tls = "none", user = "ann",
    password = "hunter2", allow_plaintext_login = true }, more)))
end

--- Connects to the real IMAP server: "implicit", "starttls" or "none".
function Context:real(mode, more)
  local d = self.dovecot
  return assert(keep(self, imap.connect(with(self, { host = d.host or "localhost", user = d.user,
    password = d.password, port = mode == "implicit" and d.imaps or d.imap, tls = mode,
    ssl = { ca_file = d.ca_file }, allow_plaintext_login = mode == "none" or nil }, more))))
end

--- What the peer's SMTP server says to `VRFY word`.
function Context:ask(word)
  if not self.control then self.control = assert(smtp.connect(with(self, { host = "127.0.0.1", tls = "none",
    port = self.peer.smtp, helo = "control.example" }))) end
  local answer = assert(self.control:verify(word))
  return answer.lines[1]
end

--- How often the peer has seen `word` (see spec/hosts/peer.lua).
function Context:count(word) return tonumber(self:ask("count " .. word)) end

--- Waits until `fn` is true.
function Context:await(what, fn)
  local ends = self.host.now() + PATIENCE / 2
  while not fn() do
    if self.host.now() > ends then error("never came true: " .. what, 2) end
    self.host.sleep(0.01)
  end
end

local Running = {}
Running.__index = Running

--- Runs `fn` beside the check; `running:join()` gives what it returned, or raises what it raised.
function Context:go(fn, ...)
  local running = setmetatable({ event = self.host.event() }, Running)
  running.handle = self.host.spawn(function(...)
    running.results = pack(attempt(fn, ...))
    running.event:set()
  end, ...)
  return running
end

--- Waits for its end, which must come within `seconds`.
function Running:join(seconds)
  if not self.results then self.event:wait(seconds or PATIENCE / 2) end
  local results = self.results
  if not results then error(("it has not ended in %s s"):format(seconds or PATIENCE / 2), 2) end
  if not results[1] then error(results[2], 0) end
  return unpack(results, 2, results.n)
end

--- Runs `fn(i)` for 1 … n, all at once where the host can.
function Context:each(n, fn)
  if not self.tasks then
    for i = 1, n do fn(i) end
    return
  end
  local all = {}
  for i = 1, n do all[i] = self:go(fn, i) end
  for i = 1, n do all[i]:join() end
end

--- The octets that transfers consist of, from the one after `at` on: lines of 64.
Context.line = ("0123456789abcdef"):rep(4):sub(1, 62) .. "\r\n"

-- --- running ----------------------------------------------------------------------------------------

local function missing(c, needs)
  for word in needs:gmatch "%a+" do
    if word == "tasks" and not c.tasks then return "one thing at a time" end
    if word == "dovecot" and not c.dovecot then return "no real server here" end
    if word == "dns" and not c.dns then return "no name server here" end
    if word == "proxy" and not c.proxy then return "no proxy here" end
    if word == "cancel" and not (c.cancel and c.tasks) then return "waits cannot be cancelled" end
    if word == "closes" and not (c.closes and c.tasks) then return "no coroutine can be closed" end
    if word == "nocancel" and c.cancel then return "waits are cancelled" end
    if word == "descriptors" and not rawget(c.host, "wait") then return "sockets of its own" end
    if word == "streams" and not rawget(c.host, "dial") then return "descriptors" end
  end
end

-- The check in a coroutine of its own, so that one that hangs is told of.
local function guarded(c, check)
  if not c.tasks then return attempt(check.fn, c) end
  local done, ok, why = c.host.event(), nil, nil
  c.host.spawn(function()
    ok, why = attempt(check.fn, c)
    done:set()
  end)
  if ok == nil then done:wait(PATIENCE) end
  if ok == nil then return false, ("it hangs, for %d s now"):format(PATIENCE) end
  return ok, why
end

-- Whatever came of it, the loop goes on, and the next check finds nothing of this one.
local function cleaned(c, ok, why)
  for _, session in ipairs(c.opened) do session:close() end
  c.opened = {}
  if not ok then
    if c.control then c.control:close() end
    c.control = nil
    return ok, why
  end
  return attempt(function()
    if c:ask "alive" ~= "alive" then error("afterwards the loop served nobody", 0) end
  end)
end

local function run_check(c, check)
  local ok, why = guarded(c, check)
  ok, why = cleaned(c, ok, why)
  c.report(ok and "ok" or "not ok", check.name, not ok and tostring(why) or nil)
  return ok
end

--- Runs the checks in a coroutine of the host.
-- @tparam table o host, peer, report, dovecot, cancel, kills, only, skip: see above
-- @treturn number how many passed, number how many failed, number how many were skipped
function conformance.run(o)
  local c = setmetatable({ opened = {} }, Context)
  for name, value in pairs(o) do c[name] = value end
  c.host = loop.adapter(o.host, 2)
  c.tasks = c.host.spawn ~= nil
  local passed, failed, skipped = 0, 0, 0
  for _, check in ipairs(conformance.checks) do
    local why = o.skip and o.skip[check.name] or missing(c, check.needs)
    if o.only and not check.name:find(o.only) then
      skipped = skipped + 1
    elseif why then
      skipped = skipped + 1
      c.report("skip", check.name, why)
    elseif run_check(c, check) then
      passed = passed + 1
    else
      failed = failed + 1
    end
  end
  if c.control then c.control:close() end
  return passed, failed, skipped
end

for _, room in ipairs { "contract", "sessions", "names", "transfers", "faults", "cancel", "pools" } do
  require("spec.conformance." .. room)(conformance.check)
end

return conformance
