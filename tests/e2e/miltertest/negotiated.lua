-- As little as possible is asked for: no body, no answers that nobody needs.
local conn = open()

for _, option in ipairs({SMFIP_NOBODY, SMFIP_NOHELO, SMFIP_NOEOH,
                         SMFIP_NOUNKNOWN, SMFIP_NR_HDR}) do
    check(mt.test_option(conn, option),
          "an option is not asked for")
end
check(mt.test_action(conn, SMFIF_CHGFROM), "CHGFROM is not asked for")
check(mt.test_action(conn, SMFIF_CHGHDRS), "CHGHDRS is not asked for")
check(mt.test_action(conn, SMFIF_ADDHDRS), "ADDHDRS is not asked for")
check(not mt.test_action(conn, SMFIF_CHGBODY), "CHGBODY is asked for")
mt.disconnect(conn)
