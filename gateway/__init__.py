from nextclick.extras import missing

if lacking := missing("gateway"):
    raise SystemExit(lacking)
