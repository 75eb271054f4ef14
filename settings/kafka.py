"""Where Kafka is and how clients speak to it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field, ValidationInfo, field_validator


class KafkaSettings(BaseModel):
    """How to reach Kafka. Files are PEM or hold one secret; empty texts stand for nothing."""

    kafka: str = Field(
        default="127.0.0.1:9092", min_length=1, description="Kafka bootstrap servers, host:port"
    )
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        default="PLAINTEXT", description="How connections are secured, by Kafka's names"
    )
    kafka_sasl_mechanism: Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN", "OAUTHBEARER"] = Field(
        default="SCRAM-SHA-512", description="How SASL makes sure of the user"
    )
    kafka_username: str = Field(
        default="", validate_default=True, description="User of SASL; OAUTHBEARER: the client's id"
    )
    kafka_password_file: str = Field(
        default="",
        validate_default=True,
        description="File with the user's password; OAUTHBEARER: with the client's secret",
    )
    kafka_token_url: str = Field(
        default="",
        validate_default=True,
        description="OAUTHBEARER: URL that gives tokens to client credentials",
    )
    kafka_token_scope: str = Field(default="", description="OAUTHBEARER: scope to ask for")
    kafka_ca_file: str = Field(
        default="",
        description="Authorities that certificates of brokers, and of the token's URL, are "
        "checked by; empty: those that the system trusts",
    )
    kafka_certificate_file: str = Field(
        default="", description="Our certificate, for brokers that ask for one"
    )
    kafka_key_file: str = Field(
        default="", validate_default=True, description="Its private key, PKCS#8"
    )
    kafka_properties_file: str = Field(
        default="", description="Further properties of Kafka's clients, a line name=value for each"
    )

    @property
    def kafka_sasl(self) -> bool:
        """Whether clients name a user."""
        return self.kafka_security_protocol.startswith("SASL_")

    @field_validator("kafka_username", "kafka_password_file")
    @classmethod
    def _given_for_sasl(cls, value: str, info: ValidationInfo) -> str:
        protocol = str(info.data.get("kafka_security_protocol", ""))
        if protocol.startswith("SASL_") and not value:
            raise ValueError(f"is needed: NEXTCLICK_KAFKA_SECURITY_PROTOCOL is {protocol}")
        return value

    @field_validator("kafka_token_url")
    @classmethod
    def _given_for_tokens(cls, value: str, info: ValidationInfo) -> str:
        protocol = str(info.data.get("kafka_security_protocol", ""))
        mechanism = info.data.get("kafka_sasl_mechanism")
        if protocol.startswith("SASL_") and mechanism == "OAUTHBEARER" and not value:
            raise ValueError("is needed: NEXTCLICK_KAFKA_SASL_MECHANISM is OAUTHBEARER")
        return value

    @field_validator("kafka_key_file")
    @classmethod
    def _certificate_for_kafka(cls, value: str, info: ValidationInfo) -> str:
        if bool(value) != bool(info.data.get("kafka_certificate_file")):
            raise ValueError("and NEXTCLICK_KAFKA_CERTIFICATE_FILE need each other")
        return value

    @field_validator(
        "kafka_password_file", "kafka_certificate_file", "kafka_key_file", "kafka_properties_file"
    )
    @classmethod
    def _can_be_referred_to(cls, value: str) -> str:
        if any(mark in value for mark in ":{}"):
            raise ValueError("may not have ':' or braces in its path, which Kafka's client divides")
        return value
