"""Signs a PDF with a kept key through the CSC interface (version 1), with pyHanko's own client, and
verifies it with pyHanko, offline: our root as the only anchor, our revocation lists, hard-fail.

    python csc_sign_pdf.py out/demo.json document.pdf signed.pdf

`demo.json` is what `azukari demo --csc --out out` leaves; elsewhere give the same names by hand.
Needs pyhanko and aiohttp (PyPI).
"""

import asyncio
import json
import ssl
import sys
from pathlib import Path

import aiohttp
from asn1crypto import crl, pem, x509
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign import PdfSignatureMetadata, PdfSigner
from pyhanko.sign.fields import SigSeedSubFilter
from pyhanko.sign.signers.csc_signer import (
    CSCAuthorizationManager,
    CSCServiceSessionInfo,
    CSCSigner,
    fetch_certs_in_csc_credential,
)
from pyhanko.sign.validation import async_validate_pdf_signature
from pyhanko.sign.validation.settings import KeyUsageConstraints
from pyhanko_certvalidator import ValidationContext

# The policy of HPKI signing certificates (arm 3).
HPKI = "1.2.392.100495.1.5.1.1.3.1"


class Azukari(CSCAuthorizationManager):
    """Asks for a SAD just before the signature, for exactly these hashes."""

    def __init__(self, session, info, credential):
        super().__init__(info, credential)
        self.session = session

    async def authorize_signature(self, hash_b64s):
        url = self.csc_session_info.endpoint_url("credentials/authorize")
        asked = self.format_csc_auth_request(hash_b64s=hash_b64s)
        async with self.session.post(url, headers=self.auth_headers, json=asked) as answer:
            body = await answer.json()
            if answer.status != 200:
                raise SystemExit(f"{answer.status} {body}")
            return self.parse_csc_auth_response(body)


def certificate(file) -> x509.Certificate:
    _, _, der = pem.unarmor(Path(file).read_bytes())
    return x509.Certificate.load(der)


async def sign(demo: dict, person: dict, source: Path, target: Path) -> None:
    tls = ssl.create_default_context(cafile=demo["ca_file"])
    tls.load_cert_chain(demo["facility"]["client_certificate"], demo["facility"]["client_key"])
    info = CSCServiceSessionInfo(
        service_url=demo["csc"]["url"],
        credential_id=person["credentials"]["statement"],
        oauth_token=person["access_token"],
    )
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls)) as session:
        credential = await fetch_certs_in_csc_credential(session, info)
        signer = CSCSigner(session, Azukari(session, info, credential))
        metadata = PdfSignatureMetadata(
            field_name="Signature", md_algorithm="sha256", subfilter=SigSeedSubFilter.PADES
        )
        with source.open("rb") as document, target.open("wb") as signed:
            await PdfSigner(metadata, signer).async_sign_pdf(
                IncrementalPdfFileWriter(document), output=signed
            )


async def verify(demo: dict, target: Path) -> None:
    context = ValidationContext(
        trust_roots=[certificate(demo["anchor"])],
        other_certs=[certificate(file) for file in demo["authorities"]],
        crls=[
            crl.CertificateList.load(file.read_bytes())
            for file in sorted(Path(demo["crl_folder"]).glob("*.crl"))
        ],
        allow_fetching=False,
        revocation_mode="hard-fail",
    )
    with target.open("rb") as signed:
        signature = PdfFileReader(signed).embedded_signatures[0]
        status = await async_validate_pdf_signature(
            signature,
            signer_validation_context=context,
            key_usage_settings=KeyUsageConstraints(key_usage={"non_repudiation"}),
        )
    policies = [p["policy_identifier"].dotted
                for p in status.signing_cert.certificate_policies_value or []]
    print(json.dumps({
        "signer": status.signing_cert.subject.human_friendly,
        "intact": status.intact,
        "valid": status.valid,
        "trusted": status.trusted,
        "bottom_line": status.bottom_line,
        "whole_document": status.coverage.name,
        "hpki": HPKI in policies,
        "mechanism": status.pkcs7_signature_mechanism,
    }))
    if not (status.bottom_line and HPKI in policies):
        raise SystemExit(status.pretty_print_details())


async def main(manifest: str, source: str, target: str) -> None:
    demo = json.loads(Path(manifest).read_text())
    person = next(p for p in demo["csc"]["persons"] if "access_token" in p)
    await sign(demo, person, Path(source), Path(target))
    await verify(demo, Path(target))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4]))
