"""Which names does everybody share? Event types and attributes that are known before any data."""

EVENT_TYPES = ("signup", "click", "view", "cart", "purchase")
EVENT_ATTRIBUTES = (
    "price",
    "brand",
    "productId",
    "category",
    "subCategory1",
    "subCategory2",
    "subCategory3",
    "deviceId",
    "sessionId",
)
PROFILE_ATTRIBUTES = (
    "email",
    "phoneNumber",
    "gender",
    "firstName",
    "lastName",
    "dob",
    "city",
    "state",
    "country",
    "zip",
)
