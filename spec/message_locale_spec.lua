-- Messages mean the same wherever the program runs: no locale and no time zone of the host changes what is read or
-- written. Compared are whole runs of a program of their own, spec/support/readings.lua.

local locales = require "spec.support.locales"

local function readings(environment, locale)
  return locales.output("spec/support/readings.lua", environment, locale)
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
    locales.with_turkish(function(folder)
      assert.equal(here, readings("TZ=UTC LOCPATH=" .. folder, "tr_TR"))
    end)
  end)
end)
