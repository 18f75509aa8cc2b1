-- Objects of the core know each other: what is no session, or none any more, moves no octet of a connection,
-- whatever it looks like.
local core = require "mail.core"

describe("a connection", function()
  local makers = { core.smtp_session, core.pop3_session, core.imap_session }
  local conn

  before_each(function() conn = assert(core.listen("127.0.0.1", "0")) end)
  after_each(function() conn:close() end)

  local function refuses(value, why)
    for _, method in ipairs { "next", "flush" } do
      local ok, err = pcall(conn[method], conn, value)
      assert.is_false(ok)
      assert.matches(why, err)
    end
  end

  it("takes sessions of all protocols, one after the other", function()
    for n = 1, 12 do
      assert.is_true(conn:flush(makers[n % 3 + 1]()))
      collectgarbage()
      refuses(io.stdout, "session expected")
    end
  end)

  it("takes nothing else", function()
    assert.is_true(conn:flush(makers[1]()))
    for _, value in ipairs { io.stdout, conn, {}, "session", 1, true, print } do refuses(value, "session expected") end
    refuses(nil, "session expected")
  end)

  it("takes no session that is freed", function()
    for _, maker in ipairs(makers) do
      local session = maker()
      assert.is_true(conn:flush(session))
      session:free()
      refuses(session, "session is freed")
    end
  end)

  it("takes no object that bears the marks of a session", function()
    local class, file = getmetatable(makers[1]()), getmetatable(io.stdout)
    local marks = {}
    for key, value in pairs(class) do
      if file[key] == nil then marks[key] = value end
    end
    assert.is_not_nil(next(marks))
    for key, value in pairs(marks) do file[key] = value end
    refuses(io.stdout, "session expected")
    for key in pairs(marks) do file[key] = nil end
  end)

  it("is none: what the Lua side keeps with sessions is not kept with it", function()
    assert.has_error(function() core.session_state(conn, {}) end)
    local session, state = makers[1](), {}
    assert.equal(state, core.session_state(session, state))
    assert.equal(state, core.session_state(session))
  end)
end)

-- A call is interrupted where it reads the options by a metamethod; a finalizer does it wherever Lua may collect
-- (spec/c/finalizers.lua).
describe("a session in use", function()
  local session

  before_each(function() session = core.smtp_session() end)

  local function call(inside)
    return session:transaction(setmetatable({}, {
      __index = function()
        inside()
        return "a@example.com"
      end,
    }), "text")
  end

  local function elsewhere(fn) return coroutine.wrap(fn) end

  local function here(fn) return fn end

  it("says so to whoever interrupts that call", function()
    for _, where in ipairs { here, elsewhere } do
      local times = 0
      call(where(function()
        times = times + 1
        for _, method in ipairs { "next", "feed", "output", "rset", "wants" } do
          local ok, err = pcall(session[method], session, "250 ok\r\n")
          assert.is_false(ok)
          assert.matches("in use by the call that this one interrupts", err)
        end
        if where == elsewhere then coroutine.yield() end
      end))
      assert.equal("read", session:wants())
      assert.is_true(times > 0)
    end
  end)

  it("is freed when that call ends", function()
    for _, where in ipairs { here, elsewhere } do
      local freed
      session = core.smtp_session()
      call(function()
        where(function() session:free() end)()
        freed = session:is_freed()
      end)
      assert.is_true(freed)
      assert.has_error(function() session:wants() end, "session is freed")
    end
  end)

  it("is free again where that call raised, whoever asks", function()
    local function raise() error "inside" end
    local caught = coroutine.create(function() return pcall(call, raise) end)
    assert.is_true(coroutine.resume(caught))
    assert.equal("read", session:wants())
    local dead = coroutine.create(call)
    assert.is_false(coroutine.resume(dead, raise))
    assert.equal("read", session:wants())
    assert.is_false(pcall(call, raise))
    elsewhere(function() assert.equal("read", session:wants()) end)()
  end)
end)
