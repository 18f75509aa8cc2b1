--- A game without a screen, 60 frames a second: players get mail inside the game, the world writes to them.
--
-- The world is simulated for some seconds without mail and then with it; what counts is how long the frames took.
local here = arg[0]:match "^(.*)[/\\]" or "."
package.path = here .. "/?.lua;" .. here .. "/../?.lua;" .. package.path
local mail = require "mail"
local postbox = require "postbox"
local support = require "support"

local o = support.options([[
usage: game.lua [options] PLAYERS

Simulates a world at 60 frames a second, first alone, then with mail: each player's inbox is watched by IMAP, and the
world sends letters by SMTP. Prints how long the frames took. PLAYERS is a file with a line "name password address"
for each player; nobody else should be able to read it.
  --imap URL         where the players' mail is, as imaps://imap.example.com:993
  --smtp URL         where the world's letters go, as smtps://smtp.example.com:465
  --user NAME        the world's account for sending (or MAIL_USER), its password in MAIL_PASSWORD; default: none
  --from ADDRESS     the world's own address; default: the first player's
  --letters N        letters a second, in turn to each player; default: 20
  --size N           octets of a letter; default: 20000
  --seconds N        for each half; default: 5
  --budget N         microseconds of a frame for mail; default: 2000
  --ca-file FILE     trust these certificates (PEM), not the system's (or MAIL_CA_FILE)
  --help
Exit status: 0 every letter came into the game; 1 some did not; 2 wrong usage.
]], 1)

local letters = support.number(o, "letters", 1, 20)
local size = support.number(o, "size", 1, 20000)
local seconds = support.number(o, "seconds", 1, 5)
local budget = support.number(o, "budget", 1, 2000) / 1e6

local FRAME = 1 / 60
local now = mail.loop.now

-- A frame's end is waited for without the loop: mail has its slice, no more. LuaSocket can sleep; Lua cannot.
local has_socket, socket = pcall(require, "socket")
local function wait_until(time)
  local left = time - now()
  if has_socket and left > 0.001 then socket.sleep(left - 0.001) end
  while now() < time do end -- luacheck: ignore
end

-- --- the world: some stones that fall around each other -------------------------------------------------

local world = {}
for i = 1, 40 do world[i] = { x = math.sin(i), y = math.cos(i * 2), u = 0, v = 0 } end

local function simulate(dt)
  for i, a in ipairs(world) do
    local fx, fy = 0, 0
    for j, b in ipairs(world) do
      local dx, dy = b.x - a.x, b.y - a.y
      local r = dx * dx + dy * dy + 0.1
      if i ~= j then fx, fy = fx + dx / r, fy + dy / r end
    end
    a.u, a.v = a.u + fx * dt * 0.01, a.v + fy * dt * 0.01
  end
  for _, a in ipairs(world) do a.x, a.y = a.x + a.u * dt, a.y + a.v * dt end
end

-- --- how long frames took ---------------------------------------------------------------------------------

local EDGES = { 0.5, 1, 2, 3, 4, 6, 8, 1000 * FRAME, math.huge }

local function show(title, times, cpu)
  table.sort(times)
  table.sort(cpu)
  local counts, n = {}, #times
  for _, time in ipairs(times) do
    for i, edge in ipairs(EDGES) do
      if time * 1000 <= edge then
        counts[i] = (counts[i] or 0) + 1
        break
      end
    end
  end
  support.say("%s: %d frames, median %.2f ms, 99 of 100 within %.2f ms, longest %.2f ms (%.2f ms of processor time)",
    title, n, times[math.ceil(n / 2)] * 1e3, times[math.ceil(n * 0.99)] * 1e3, times[n] * 1e3, cpu[n] * 1e3)
  for i, edge in ipairs(EDGES) do
    local count = counts[i] or 0
    local words = edge == math.huge and "   longer" or ("<= %4.1f ms"):format(edge)
    support.say("  %s  %5d  %s", words, count, ("#"):rep(math.ceil(50 * count / n)))
  end
end

-- Runs frames until `done()`; `update(dt)` is one of them. Their times in seconds, by the clock and by processor.
local function play(update, done)
  local times, cpu, due = {}, {}, now()
  repeat
    local began, clock = now(), os.clock()
    update(FRAME)
    times[#times + 1], cpu[#cpu + 1] = now() - began, os.clock() - clock
    due = math.max(due + FRAME, now())
    wait_until(due)
  until done()
  return times, cpu
end

local function for_seconds(n)
  local stop = now() + n
  return function() return now() >= stop end
end

-- --- the game ---------------------------------------------------------------------------------------------

local function read_players(path)
  local players, number = {}, 0
  for line in support.open(path, "r"):lines() do
    number = number + 1
    local name, password, address = line:match "^%s*([^#%s]%S*)%s+(%S+)%s+(%S+)%s*$"
    if name then
      players[#players + 1] = { name = name, password = password, address = address }
    elseif line:find "%S" and not line:find "^%s*#" then
      support.die(("%s:%d: not like 'name password address'"):format(path, number), 2)
    end
  end
  return players[1] and players or support.die("no player in " .. path, 2)
end

support.main(function()
  local players = read_players(o[1] or support.die("which players? see --help", 2))
  if not (o.imap and o.smtp) then support.die("no servers: give --imap and --smtp; see --help", 2) end
  local box = postbox.new {
    imap = o.imap, smtp = o.smtp, ssl = { ca_file = o["ca-file"] }, user = o.user,
    password = o.user and support.password(),
    complain = function(text) io.stderr:write(support.clean(text), "\n") end,
  }
  show("without mail", play(simulate, for_seconds(seconds)))

  local from = o.from or players[1].address
  local text = ("The stones are falling, and they fall on you.\r\n"):rep(math.ceil(size / 47))
  local written, arrived, owed, last, delays = 0, 0, 0, now(), {}
  local function write_letters()
    local time = now()
    owed, last = owed + (time - last) * letters, time
    while owed >= 1 do
      local player = players[written % #players + 1]
      written, owed = written + 1, owed - 1
      local head = ("From: %s\r\nTo: %s\r\nSubject: letter %d of %.3f\r\n\r\n")
        :format(from, player.address, written, time)
      box:send { from = from, to = player.address, message = head .. text }
    end
  end
  local function update(dt)
    simulate(dt)
    box:update(budget)
    for i, letter in ipairs(box.arrived) do
      local sent_at = letter.subject:match "^letter %d+ of ([%d.]+)$"
      if sent_at then arrived, delays[#delays + 1] = arrived + 1, now() - tonumber(sent_at) end
      box.arrived[i] = nil
    end
  end

  for _, player in ipairs(players) do box:join(player.name, player.password) end
  box:open()
  local give_up = for_seconds(30)
  show(("%d players log in"):format(#players), play(update, function()
    return box.watching == #players or give_up()
  end))
  last = now()
  local enough = for_seconds(seconds)
  show("with mail", play(function(dt)
    write_letters()
    update(dt)
  end, enough))
  give_up = for_seconds(30)
  play(update, function() return arrived + box.refused >= written or give_up() end)
  box:close()
  table.sort(delays)
  support.say("%d letters written, %d sent, %d came into the game, the middle one after %.0f ms", written, box.sent,
    arrived, (delays[math.ceil(#delays / 2)] or 0) * 1e3)
  return arrived == written and 0 or 1
end)
