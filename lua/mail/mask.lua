--- Secrets out of texts that others wrote: a peer may repeat what it was told, whole, cut off or in pieces.
-- @module mail.mask

-- What of a longer secret counts as a part of it; the runs by which parts are found: their length, and how many.
local PART, RUN, RUNS = 12, 8, 64

local function escaped(octet)
  return octet == "\0" and "%z" or "%" .. octet
end

-- How far `text` and `secret` are the same around `at` and `place`, where a run of both begins: from, to.
local function extend(text, at, secret, place)
  local from, to = at, at + RUN - 1
  while from > 1 and place > 1 and text:byte(from - 1) == secret:byte(place - 1) do
    from, place = from - 1, place - 1
  end
  place = place + to - from + 1
  while to < #text and place <= #secret and text:byte(to + 1) == secret:byte(place) do
    to, place = to + 1, place + 1
  end
  return from, to
end

-- The same with the parts that share the run at `place`.
local function without_run(text, secret, place)
  local run = secret:sub(place, place + RUN - 1)
  local at = text:find(run, 1, true)
  if not at then return text end
  local pieces, done = {}, 0
  while at do
    local from, to = extend(text, at, secret, place)
    if to - from + 1 >= PART and from > done then
      pieces[#pieces + 1] = text:sub(done + 1, from - 1)
      done = to
    end
    at = text:find(run, math.max(to, at) + 1, true)
  end
  pieces[#pieces + 1] = text:sub(done + 1)
  return table.concat(pieces, "***")
end

--- `text` with `***` wherever `secret`, or a good part of a long one, stands in it; a secret that is no text, or
-- none, changes nothing.
return function(text, secret)
  if type(secret) ~= "string" or secret == "" then return text end
  local pattern = secret:gsub("[^A-Za-z0-9]", escaped)
  text = text:gsub(pattern, "***")
  if #secret <= PART or #text < PART then return text end
  local step = math.max(RUN, math.floor(#secret / RUNS))
  for place = 1, #secret - RUN + 1, step do text = without_run(text, secret, place) end
  return text
end
