"""What /users returns, and what the user directory must return for it."""

from pydantic import BaseModel, ConfigDict


class User(BaseModel):
    """One user."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"id": 7, "name": "Tony", "email": "tony.7@example.org"}]}
    )

    id: int
    name: str
    email: str
