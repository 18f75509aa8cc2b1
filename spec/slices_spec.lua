-- Long computations in slices: one slice a turn of the loop however many compute, and nobody waits for ever.

local loop = require "mail.loop"
local slices = require "mail.slices"

local host = loop.native

-- A computation of n slices; counts into `log`.
local function job(name, n, log)
  return function()
    n = n - 1
    log[#log + 1] = name
    return n <= 0 and name or false
  end
end

describe("slices", function()
  it("run one a turn, and each computation gets its turn after another's run", function()
    local log, most, last, results = {}, 0, 0, {}
    loop.run(function()
      local tasks = {}
      for i = 1, 20 do
        tasks[i] = loop.spawn(function() results[i] = slices.run(host, job(i, i == 1 and 100 or 3, log)) end)
      end
      local watch = loop.spawn(function()
        while #results < 20 or not results[1] do
          host.pause()
          if #log - last > most then most = #log - last end
          last = #log
        end
      end)
      for _, task in ipairs(tasks) do task:join() end
      watch:join()
    end)
    assert.equal(1, most)
    assert.equal(100 + 19 * 3, #log)
    for i = 1, 20 do assert.equal(i, results[i]) end
    assert.equal(1, log[#log]) -- the long one let the short ones pass
  end)

  it("let a wait end by its deadline or a cancel, and the others go on", function()
    local log, got = {}, {}
    loop.run(function()
      local long = loop.spawn(function() return slices.run(host, job("long", 2000, log)) end)
      local late = loop.spawn(function() got.late = { slices.run(host, job("late", 1, log), nil, host.now() - 1) } end)
      local cut = loop.spawn(function() got.cut = { slices.run(host, job("cut", 1, log)) } end)
      local last = loop.spawn(function() return slices.run(host, job("last", 1, log)) end)
      host.pause()
      cut:cancel()
      late:join()
      cut:join()
      assert.equal("last", (last:join()))
      assert.equal("long", (long:join()))
    end)
    assert.same({ false, "timeout" }, got.late)
    assert.same({ false, "cancelled" }, got.cut)
  end)

  it("become smaller where they take long", function()
    local core = require "mail.core"
    local sizes = {}
    local function slow(_, rounds) -- 10 us a round, and more where this process is held up
      local stop = core.now() + rounds * 1e-5
      sizes[#sizes + 1] = rounds
      while core.now() < stop do end -- luacheck: ignore
      return #sizes == 20
    end
    local another = setmetatable({ event = function() return host.event() end }, { __index = host })
    loop.run(function() assert.is_true(slices.run(another, slow)) end)
    for i = 1, 20 do assert.equal(i < 5 and 512 / 2 ^ i or 16, sizes[i]) end
  end)

  it("are never larger than the core allows", function()
    local n, most = 0, 0
    local function quick(_, rounds)
      n, most = n + 1, math.max(most, rounds)
      return n == 2000
    end
    loop.run(function() assert.is_true(slices.run(host, quick)) end)
    assert.equal(256, most)
  end)

  it("go on behind one that will never be resumed, and behind one that raised", function()
    local log = {}
    loop.run(function()
      local stray = coroutine.create(function()
        slices.run(setmetatable({ pause = coroutine.yield }, { __index = host }), job("stray", 5, log))
      end)
      assert(coroutine.resume(stray)) -- in its turn, and dropped
      assert.equal("next", (slices.run(host, job("next", 1, log))))
      local raised = loop.spawn(function() return pcall(slices.run, host, function() error "bad" end) end)
      raised:join()
      assert.equal("again", (slices.run(host, job("again", 1, log))))
    end)
  end)
end)
