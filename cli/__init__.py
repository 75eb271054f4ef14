from nextclick.extras import missing

if lacking := missing("cli"):
    raise SystemExit(lacking)
