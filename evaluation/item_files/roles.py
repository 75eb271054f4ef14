"""Names by which columns of items are known, as `click_files.roles.normal` has them."""

from __future__ import annotations

import re

from evaluation.click_files.roles import KNOWN_NAMES, PLURAL, Vocabulary

ITEM_NAMES = (
    *(name for name in KNOWN_NAMES["item"] if not PLURAL.search(name)),
    "id", "productcode", "itemcode", "itemnumber", "articlenumber", "sku", "variantid", "handle",
)  # fmt: skip

OF_ITEMS = Vocabulary(
    {
        "item": ITEM_NAMES,
        "title": (
            "title", "producttitle", "itemtitle", "productname", "itemname", "name", "displayname",
            "movietitle", "headline",
        ),
        "category": (
            "categories", "category", "categorypath", "categoryids", "categoryid", "categorynames",
            "categoryname", "catid", "producttype", "googleproductcategory", "productcategory",
            "genres", "genre", "class", "department", "section", "collections", "collection",
        ),
        "available": (
            "available", "availability", "isavailable", "instock", "isinstock", "stockstatus",
            "isactive", "active", "published", "stock", "stockquantity", "quantity", "inventory",
            "inventoryquantity", "qty",
        ),
        "kind": ("kind", "itemkind", "itemtype", "contenttype", "mediatype"),
        "description": (
            "description", "productdescription", "itemdescription", "longdescription",
            "shortdescription", "desc", "summary", "abstract", "overview", "synopsis",
        ),
        "image": (
            "imageurl", "imagelink", "image", "pictureurl", "picture", "imgurl", "thumbnailurl",
            "thumbnail", "posterurl", "poster", "coverurl",
        ),
        "page": (
            "pageurl", "link", "url", "producturl", "itemurl", "productlink", "weburl", "permalink",
        ),
        "from": (
            "availablefrom", "availablefromms", "availabilitydate", "validfrom", "visiblefrom",
            "onlinefrom",
        ),
        "until": (
            "availableuntil", "availableuntilms", "expirationdate", "expiresat", "validuntil",
            "visibleuntil", "onlineuntil",
        ),
        "embedding": ("embedding", "itemembedding", "vector"),
        "numbers": ("numbers", "measures"),
        "number": (
            "price", "saleprice", "year", "releaseyear", "duration", "durationms",
            "runtime", "weight", "pages",
        ),
        "deleted": ("deleted", "isdeleted", "deletedat", "removed", "state"),
        "attributes": ("attributes", "attrs", "properties", "specs", "features"),
        "attribute": (
            "brand", "brandname", "manufacturer", "vendor", "colour", "color", "size", "material",
            "pattern", "style", "gender", "agegroup", "condition", "author", "artist", "publisher",
            "language", "format", "series", "season",
        ),
    }
)  # fmt: skip
"""Of several columns of a role, the name that stands first here counts; of attributes and numbers,
all do."""

LEVEL = re.compile(r"category(level|l)?\d+$|productcategory\d+$")
"""Columns of which each holds one level of the category."""
