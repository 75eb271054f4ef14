-- A shop's table of products. The trigger sees to `updated_at`; a product that is sold no more gets
-- `deleted_at`, so that those who read changes learn of it.
CREATE TABLE products (
    id         bigint PRIMARY KEY,
    title      text NOT NULL,
    brand      text,
    categories text[] NOT NULL DEFAULT '{}',
    stock      integer NOT NULL DEFAULT 0,
    kind       text NOT NULL DEFAULT 'product',
    summary    text NOT NULL DEFAULT '',
    price      numeric(10, 2),
    year       integer,
    image_url  text NOT NULL DEFAULT '',
    page_url   text NOT NULL DEFAULT '',
    sold_from  timestamptz,
    sold_until timestamptz,
    embedding  real[] NOT NULL DEFAULT '{}',
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz
);

CREATE INDEX ON products (updated_at);

CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at = now();
    RETURN NEW;
END
$$;

CREATE TRIGGER touch BEFORE INSERT OR UPDATE ON products
    FOR EACH ROW EXECUTE FUNCTION touch();
