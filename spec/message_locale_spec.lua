-- Messages mean the same wherever the program runs: no locale and no time zone of the host changes what is read or
-- written. Compared are whole runs of a program of their own, spec/support/readings.lua.

local child = require "spec.support.child"

local function shell(command)
  local pipe = assert(io.popen(command, "r"))
  local out = pipe:read "*a"
  pipe:close()
  return out
end

-- What is read under a locale and a time zone.
local function readings(environment, locale)
  return shell(child.lua(environment) .. "spec/support/readings.lua " .. child.quote(locale) .. " 2>&1")
end

-- A folder with locales that differ from C in all that matters: Turkish letters, a comma in numbers, characters of
-- one octet from 128 on that are letters, blanks and controls. Nil where the system cannot make them.
local function locales()
  local folder = shell("mktemp -d"):gsub("%s+$", "")
  local made = shell(("localedef -i tr_TR -f ISO-8859-9 '%s/tr_TR' 2>&1 && echo made"):format(folder))
  if made:find "made" then return folder end
  os.execute("rm -rf '" .. folder .. "'")
end

describe("what is read and written", function()
  local here = readings("LC_ALL=C TZ=UTC", "C")

  it("is something", function()
    assert.is_true(#here > 20000)
    assert.truthy(here:find("winmail-dat", 1, true))
    assert.truthy(here:find("TITLE@Example.ORG", 1, true))
    assert.is_nil(here:find("stack traceback", 1, true))
  end)

  it("is the same in each time zone", function()
    for _, zone in ipairs { "Asia/Kolkata", "America/New_York", "XYZ-14:30ABC" } do
      assert.equal(here, readings("LC_ALL=C TZ=" .. zone, "C"))
    end
  end)

  it("is the same in each locale", function()
    assert.equal(here, readings("TZ=UTC", "C.UTF-8"))
    local folder = locales()
    if folder then
      assert.equal(here, readings("TZ=UTC LOCPATH=" .. folder, "tr_TR"))
      os.execute("rm -rf '" .. folder .. "'")
    end
  end)
end)
