-- What one step of the loop may do once its time is over: mail.loop.step(0, { budget = … }).
--
-- No clock decides here. A budget of 0 is over from the start, so everything that a step does lies behind
-- its end: what these specs count in each step is the most by which any step can exceed any budget.
local Pump = require "mail.pump"
local core = require "mail.core"
local loop = require "mail.loop"
local mail = require "mail"
local scram_server = require "spec.support.scram_server"
local servers = require "spec.servers"
local tls = require "mail.tls"

local native = loop.native
local MOVE = 65536 -- LM_NET_BRIEF

-- Steps with no time at all until every task has ended; calls `look` after each one.
local function steps(look)
  repeat
    local alive = loop.step(0, { budget = 0 })
    look()
    if alive > 0 then core.poll_one(0, "w", 0) end
  until alive == 0
end

-- Runs `fn` in a task. In each step at most one event may come out of the core, and at most one read or
-- write goes on behind that (the task's own next command may go out beside it).
local function run(fn)
  local methods = core.conn_class.__index
  local plain = methods.next
  local events, octets, conns = 0, 0, {}
  local total = { steps = 0, events = 0, octets = 0, busiest = 0 }
  local function counted(kind, ...)
    if kind ~= "wait" then events = events + 1 end
    return kind, ...
  end
  methods.next = function(conn, session, stop_at)
    conns[conn] = conns[conn] or 0
    return counted(plain(conn, session, stop_at))
  end
  local ok, err = pcall(function()
    local task = loop.spawn(fn)
    steps(function()
      for conn, before in pairs(conns) do
        local received, sent = conn:octets()
        octets = octets + received + sent - before
        conns[conn] = received + sent
      end
      assert.is_true(events <= 1, events .. " events in a step")
      assert.is_true(octets <= 2 * MOVE, octets .. " octets in a step")
      total.steps, total.events, total.octets = total.steps + 1, total.events + events, total.octets + octets
      if octets > total.busiest then total.busiest = octets end
      events, octets = 0, 0
    end)
    task:join()
  end)
  methods.next = plain
  if not ok then error(err, 0) end
  return total
end

local server, missing = servers.mail {}

local function real(name, fn)
  it(name, function()
    if not server then return pending(missing) end
    fn()
  end)
end

local function account(user, port, mode)
  return { host = "localhost", port = port, tls = mode, user = user.name, password = user.password, timeout = 60,
    ssl = { ca_file = server.ca_file }, allow_plaintext_login = true }
end

local LINE = ("x"):rep(76) .. "\r\n"
local BIG = "From: ann@example.test\r\nSubject: big\r\n\r\n" .. LINE:rep(100000)

describe("behind the end of a step's budget", function()
  for mode, port in pairs { none = "imap", implicit = "imaps" } do
    real("a body moves by one piece, tls = " .. mode, function()
      local user = server:add_user()
      server:save(user, BIG)
      local got = {}
      local total = run(function()
        local imap = assert(mail.imap.connect(account(user, server.ports[port], mode)))
        assert(imap:examine "INBOX")
        local function sink(_, _, piece) got[#got + 1] = piece end
        assert(imap:fetch_all("1", { "body" }, { sink = sink }))
        imap:logout()
      end)
      assert.are.equal(BIG, table.concat(got))
      assert.is_true(total.octets >= #BIG)
      assert.is_true(total.steps >= #BIG / total.busiest)
    end)

    real("an append goes out piece by piece, tls = " .. mode, function()
      local user = server:add_user()
      local size
      run(function()
        local imap = assert(mail.imap.connect(account(user, server.ports[port], mode)))
        assert(imap:append("INBOX", BIG))
        assert(imap:append("INBOX", (BIG:gsub("\r", ""))))
        assert(imap:examine "INBOX")
        size = assert(imap:fetch_all("1:*", { "size" }))
        imap:logout()
      end)
      assert.are.equal(#BIG, size[1].size)
      assert.are.equal(#BIG, size[2].size)
    end)
  end

  real("many answers in one packet are handed out one a step", function()
    local user = server:add_user()
    for i = 1, 100 do server:save(user, "Subject: " .. i .. "\r\n\r\n") end
    local seen = 0
    local total = run(function()
      local imap = assert(mail.imap.connect(account(user, server.ports.imaps, "implicit")))
      assert(imap:examine "INBOX")
      local messages = assert(imap:fetch("1:*", { "uid", "envelope" }))
      local m = messages:next()
      while m do
        seen = seen + 1
        assert.are.equal(tostring(seen), m.envelope.subject)
        m = messages:next()
      end
      imap:logout()
    end)
    assert.are.equal(100, seen)
    assert.is_true(total.steps >= 100)
  end)

  real("mail is sent piece by piece", function()
    local user = server:add_user()
    local total = run(function()
      local smtp = assert(mail.smtp.connect(account(user, server.ports.exim_submissions, "implicit")))
      assert(smtp:send { from = "ann@example.test", to = user.address, message = BIG })
      smtp:quit()
    end)
    assert.is_true(total.octets >= #BIG)
  end)

  real("twenty sessions share the steps", function()
    local user, done = server:add_user(), 0
    server:save(user, "Subject: x\r\n\r\n" .. LINE:rep(5000))
    run(function()
      local tasks = {}
      for i = 1, 20 do
        tasks[i] = loop.spawn(function()
          local imap = assert(mail.imap.connect(account(user, server.ports.imaps, "implicit")))
          assert(imap:examine "INBOX")
          assert.are.equal(5000 * #LINE + 14, #assert(imap:fetch_all("1", { "body" }))[1].body[""])
          imap:logout()
          done = done + 1
        end)
      end
      for _, task in ipairs(tasks) do task:join() end
    end)
    assert.are.equal(20, done)
  end)

  it("events that lie in a queue are taken one a step", function()
    local session = mail.imap.session()
    local pump = Pump.open(session, { read = function() end, write = function() end, close = function() end }, "native")
    for i = 1, 10 do pump:post(1, "note", i) end
    local seen, most, before = 0, 0, 0
    loop.spawn(function()
      for i = 1, 10 do
        local kind, n = pump:wait(1)
        assert.are.same({ "note", i }, { kind, n })
        seen = i
      end
    end)
    steps(function()
      most, before = math.max(most, seen - before), seen
    end)
    assert.are.equal(10, seen)
    assert.are.equal(1, most)
  end)

  it("a transport of one's own is read by one event a step", function()
    local lines = { "* OK hi\r\n" .. ("* 1 EXISTS\r\n"):rep(50) }
    local session = mail.imap.session()
    local transport = {
      read = function() return table.remove(lines, 1), "closed" end,
      write = function() return true end, close = function() end,
    }
    local pump = Pump.open(session, transport, "native")
    local seen, most, before = 0, 0, 0
    function pump.unsolicited() seen = seen + 1 end
    loop.spawn(function() pump:wait(1) end)
    steps(function()
      most, before = math.max(most, seen - before), seen
    end)
    assert.are.equal(51, seen)
    assert.are.equal(1, most)
  end)

  it("trusted certificates are read one a step", function()
    local made = assert(servers.certificates())
    local file = assert(io.open(made.ca_file))
    local bundle = file:read("*a"):rep(20)
    file:close()
    local step, read, most, before = core.tls_context_class.__index.step, 0, 0, 0
    core.tls_context_class.__index.step = function(self)
      read = read + 1
      return step(self)
    end
    local contexts = {}
    for i = 1, 2 do
      loop.spawn(function()
        contexts[i] = assert(tls.context({ ca_file = bundle }, "imap", nil, function() native.pause() end))
      end)
    end
    local ok, err = pcall(steps, function()
      most, before = math.max(most, read - before), read
    end)
    core.tls_context_class.__index.step = step
    assert(ok, err)
    assert.are.equal(contexts[1], contexts[2])
    assert.is_true(read >= 21 and read <= 22)
    assert.is_true(most <= 2)
  end)

  it("a folder of trust that is none is refused in every task, and asked for anew", function()
    local function try()
      return tls.context({ ca_file = "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n" }, "imap", nil,
        native.pause)
    end
    for _ = 1, 2 do
      local made, why = try()
      assert.is_nil(made)
      assert.matches("cannot read trusted certificates", why)
    end
  end)

  it("a task that only yields is resumed once", function()
    local turns = 0
    loop.spawn(function()
      for _ = 1, 5 do
        turns = turns + 1
        coroutine.yield()
      end
    end)
    local count = 0
    steps(function()
      count = count + 1
      assert.is_true(turns <= count)
    end)
    assert.are.equal(5, turns)
  end)
end)

describe("log-ins by SCRAM side by side", function()
  local LOGINS, SLICE = 250, 256 -- LM_SCRAM_SLICE

  local function log_in(done)
    local pump = Pump.open(mail.pop3.session(), scram_server.new("SCRAM-SHA-256", native), "native", { timeout = 600 })
    assert(mail.pop3.greet(pump, { tls = "none", allow_plaintext_login = true, user = "ann", password = "secret",
      mechanism = "SCRAM-SHA-256" }, pump:deadline()))
    done[1] = done[1] + 1
    assert(pump:close())
  end

  -- Steps until all are in; what is computed in each is counted where the core does it.
  local function counted(options)
    local class = core.sasl_class.__index
    local plain = class.work
    local slices, rounds, most = 0, 0, { slices = 0, rounds = 0, all = 0 }
    function class.work(self, n)
      slices, rounds = slices + 1, rounds + n
      most.all = most.all + n
      return plain(self, n)
    end
    local done, tasks = { 0 }, {}
    for i = 1, LOGINS do tasks[i] = loop.spawn(log_in, done) end
    local ok, err = pcall(function()
      while loop.step(0, options) > 0 do
        most.slices, most.rounds = math.max(most.slices, slices), math.max(most.rounds, rounds)
        slices, rounds = 0, 0
      end
    end)
    class.work = plain
    assert(ok, err)
    for _, task in ipairs(tasks) do task:join() end
    assert.are.equal(LOGINS, done[1])
    return most
  end

  it("compute one slice a turn of the loop, however many they are", function()
    local most = counted()
    assert.are.equal(1, most.slices)
    assert.is_true(most.rounds <= SLICE)
    assert.is_true(most.all >= LOGINS * 4095)
  end)

  it("compute at most one slice behind the end of a budget", function()
    local most = counted { budget = 0 }
    assert.are.equal(1, most.slices)
    assert.is_true(most.rounds <= SLICE)
  end)

  it("cannot ask the core for a larger slice", function()
    local exchange = assert(core.sasl("SCRAM-SHA-256", { user = "ann", password = "secret", nonce = "abc" }))
    exchange:initial()
    assert.is_false(exchange:step("r=abcdef,s=c2FsdA==,i=4096"))
    local turns = 1
    while exchange:work(1000000) == false do turns = turns + 1 end
    assert.are.equal(4096 / SLICE, turns)
    assert.has_error(function() exchange:work(0) end)
  end)
end)

describe("a step's budget", function()
  it("ends with the step", function()
    local seen
    loop.spawn(function() seen = native.stop_at end)
    loop.step(0, { budget = 10 })
    assert.is_true(seen > loop.now())
    assert.is_nil(native.stop_at)
    loop.spawn(function() seen = native.stop_at end)
    loop.step(0)
    assert.is_nil(seen)
  end)

  it("is not that of a turn inside a task's own coroutine", function()
    local inside
    loop.spawn(function()
      local other = loop.spawn(function() inside = native.stop_at or "none" end)
      coroutine.wrap(function() other:join() end)()
      assert.is_number(native.stop_at)
    end)
    while loop.step(0, { budget = 10 }) > 0 do end -- luacheck: ignore
    assert.are.equal("none", inside)
  end)

  it("is a number", function()
    assert.has_error(function() loop.step(0, { budget = "2 ms" }) end)
  end)

  real("leaves timers their due", function()
    local user = server:add_user()
    server:save(user, BIG)
    local fired, left = 0, 1
    loop.spawn(function()
      local imap = assert(mail.imap.connect(account(user, server.ports.imaps, "implicit")))
      assert(imap:examine "INBOX")
      assert(imap:fetch_all("1", { "body" }, { sink = function() end }))
      imap:logout()
      left = 0
    end)
    loop.spawn(function()
      while left > 0 do
        loop.sleep(0)
        fired = fired + 1
      end
    end)
    local count = 0
    steps(function() count = count + 1 end)
    -- One of two tasks in each step, in turns.
    assert.is_true(fired >= count / 4, fired .. " of " .. count)
  end)
end)
