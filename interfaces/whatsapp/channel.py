"""The parts of the WhatsApp channel: one business number on Meta's Cloud API."""

from __future__ import annotations

from functools import partial

from app.sections.whatsapp import WhatsAppSettings
from app.settings import Settings
from interfaces.channel import ChannelDescription
from interfaces.whatsapp.arrivals import Arrivals
from interfaces.whatsapp.checkup import WhatsAppCheckup
from interfaces.whatsapp.client import WhatsAppChannel
from interfaces.whatsapp.formatting import load
from interfaces.whatsapp.graph import GraphApi
from interfaces.whatsapp.inbound import Inbound
from interfaces.whatsapp.interface import WhatsAppWebhook
from interfaces.whatsapp.numbers import Numbers
from interfaces.whatsapp.receipts import Receipts
from interfaces.whatsapp.window import Window


def describe(whatsapp: WhatsAppSettings, settings: Settings) -> ChannelDescription:
    """Return the parts that these settings ask for."""
    number = whatsapp.phone_number_id
    return ChannelDescription(
        title="WhatsApp",
        sends=partial(
            WhatsAppChannel,
            phone_number_id=number,
            template=(whatsapp.template, whatsapp.template_language) if whatsapp.template else None,
        ),
        routes=[
            partial(
                WhatsAppWebhook,
                phone_number_id=number,
                app_secret=whatsapp.app_secret.get_secret_value(),
                verify_token=whatsapp.verify_token.get_secret_value(),
            )
        ],
        shares={
            Numbers: partial(Numbers, key=whatsapp.number_key.get_secret_value()),
            GraphApi: partial(
                GraphApi,
                base_url=whatsapp.api_base_url,
                phone_number_id=number,
                access_token=whatsapp.access_token.get_secret_value(),
            ),
            Arrivals: Arrivals,
            Window: Window,
            Receipts: Receipts,
            Inbound: partial(Inbound, portfolio_id=whatsapp.portfolio_id, phone_number_id=number),
        },
        checkup=WhatsAppCheckup,
        load=load,
    )
