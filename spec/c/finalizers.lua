-- Finalizers that call the library whenever Lua collects, and are armed again each time.
--
-- For bind_alloc_test.c. Given the core before it is tried; returns a function that arms them (from a seed;
-- whether they meddle), and one that disarms them and tells how often they ran and what went wrong. The globals
-- `under_way` and `beside` are the arguments of the call that is under way. They are asked what changes nothing,
-- for that call must not notice; or else any method of theirs is called with anything, for nothing may break.
local core = ...

local methods, functions = {}, {}
for name, value in pairs(core) do
  if type(value) == "table" then
    local copy = { names = {} }
    for method, f in pairs(value.__index) do
      copy[method] = f
      table.insert(copy.names, method)
    end
    table.sort(copy.names)
    methods[value] = copy
  else
    functions[name] = value
  end
end

local TEXT = "From: Finalizer <f@finalizer.example>\r\nTo: team: g@finalizer.example, h@finalizer.example;\r\n"
  .. "Subject: =?iso-8859-1?q?caf=E9?=\r\nContent-Type: text/plain; charset=iso-8859-1\r\n"
  .. "Content-Transfer-Encoding: quoted-printable\r\n\r\nfinalizer =E9\r\n"

-- Each of these works in memory that is shared from call to call.
local function call_functions()
  local list = functions.address_list("Finalizer <f@finalizer.example>, g@finalizer.example")
  assert(list[2].address == "g@finalizer.example")
  assert(functions.address_envelope("f@finalizer.example") == "f@finalizer.example")
  assert(functions.header_fields(TEXT).subject == "caf\195\169")
  assert(functions.envelope_of(TEXT).to[2] == "h@finalizer.example")
  assert(functions.html_text("<p>finalizer"):find "finalizer")
  assert(functions.lower(("FINALIZER"):rep(20)) == ("finalizer"):rep(20))
  assert(functions.transfer_decode("base64", "ZmluYWxpemVy") == "finalizer")
  assert(functions.header_text("Subject", "finalizer"):find "finalizer")
  local m = functions.message_parse(TEXT)
  local of = methods[getmetatable(m)]
  assert(of.header(m, 1, "subject") == "caf\195\169")
  assert(of.addresses(m, 1, "to")[1].members[2].address == "h@finalizer.example")
  assert(of.text(m, 1) == "finalizer \195\169\n")
  assert(of.check(m))
end

-- What changes nothing, whatever has a method of that name.
local questions = {
  "failure", "phase", "pending", "capability_set", "ehlo_table", "tls_info", "tls_why", "is_freed", "type",
  "text", "body", "filename", "disposition", "parameters", "headers", "check", "tnef", "uuencoded", "limits",
  "facts", "kind", "publish", "count", "spans", "is_clean", "field", "cover", "reason", "done", "fd", "octets",
  "item",
}

-- The function in a coroutine of its own.
local function elsewhere(f)
  return coroutine.wrap(function(...) return f(...) end)
end

local function ask(object)
  local of = methods[getmetatable(object)]
  for i = 1, of and #questions or 0 do
    local f = of[questions[i]]
    if f then
      pcall(f, object, 1)
      pcall(elsewhere(f), object, 1)
    end
  end
end

local state, meddles

-- From 1 to n.
local function random(n)
  state = state * 16807 % 2147483647
  return state % n + 1
end

local LAST = { free = true, close = true }

-- These write a file wherever they are told; "size" works in the same memory.
local NEVER = { save = true }

local values = {
  1, 2, 0, "x", "", "1:9", TEXT, "* OK [ALERT] finalizer\r\n", "A1 OK finalizer\r\n", "+OK finalizer\r\n",
  "250 finalizer\r\n", "text", { from = "f@finalizer.example", to = "g@finalizer.example", message = TEXT }, true,
}

local function tidy(kind, fd)
  if kind == "done" and type(fd) == "number" then core.conn(fd) end -- of a dial, whose socket is ours now
end

local function meddle(object)
  local of = methods[getmetatable(object)]
  local name = of and of.names[random(#of.names)]
  if not name or NEVER[name] or (LAST[name] and random(6) > 1) then return end
  local f = of[name]
  if random(4) == 1 then f = elsewhere(f) end
  local arguments = {}
  for i = 1, random(5) - 1 do arguments[i] = values[random(#values + 1)] end
  local _, kind, fd = pcall(f, object, arguments[1], arguments[2], arguments[3], arguments[4])
  if name == "step" then tidy(kind, fd) end
end

local ran, over, arm, wrong = 0, false, nil, nil

local function call_all()
  local touch = meddles and meddle or ask
  if not meddles or random(8) == 1 then call_functions() end
  if type(_G.under_way) == "userdata" then touch(_G.under_way) end
  if type(_G.beside) == "userdata" then touch(_G.beside) end
end

local function finalize()
  if over then return end
  ran = ran + 1
  local ok, why = pcall(call_all)
  if not ok then wrong = wrong or why end
  arm()
  -- What a finalizer allocates puts the next collection off in some Luas: by another way each time.
  return ("x"):rep(random(2000))
end

function arm()
  if newproxy then -- luacheck: ignore
    getmetatable(newproxy(true)).__gc = finalize -- luacheck: ignore
  else
    setmetatable({}, { __gc = finalize })
  end
end

return function(seed, on)
  state, meddles = seed, on
  arm()
end, function()
  over = true
  return ran, wrong
end
