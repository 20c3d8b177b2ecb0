"""Signs a PDF by its digest alone, with signatures/signDoc of the CSC interface (version 2): the
service composes the PAdES signature, pyHanko leaves the gap and fills it, and verifies the result
offline as csc_sign_pdf.py does.

    python csc_sign_doc.py out/demo.json document.pdf signed.pdf

The signatures are asked for without waiting and fetched by signatures/signPolling.
"""

import asyncio
import base64
import io
import json
import ssl
import sys
from pathlib import Path

import aiohttp
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign import PdfSignatureMetadata, PdfSigner
from pyhanko.sign.fields import SigSeedSubFilter
from pyhanko.sign.signers import ExternalSigner
from pyhanko.sign.signers.pdf_signer import PdfTBSDocument

from csc_sign_pdf import verify

SHA256 = "2.16.840.1.101.3.4.2.1"
RSA = "1.2.840.113549.1.1.1"


async def sign(demo: dict, person: dict, source: Path, target: Path) -> None:
    tls = ssl.create_default_context(cafile=demo["ca_file"])
    tls.load_cert_chain(demo["facility"]["client_certificate"], demo["facility"]["client_key"])
    headers = {"Authorization": f"Bearer {person['access_token']}"}
    credential = person["credentials"]["statement"]

    # The document stays here: pyHanko leaves a gap for the signature and digests the rest.
    metadata = PdfSignatureMetadata(
        field_name="Signature", md_algorithm="sha256", subfilter=SigSeedSubFilter.PADES
    )
    gap = PdfSigner(metadata, ExternalSigner(None, None, signature_value=256))
    with source.open("rb") as document:
        prepared, _, output = await gap.async_digest_doc_for_signing(
            IncrementalPdfFileWriter(document), bytes_reserved=16384, output=io.BytesIO()
        )
    digest = base64.b64encode(prepared.document_digest).decode()

    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=tls), headers=headers
    ) as session:
        async def ask(method: str, body: dict) -> tuple[int, dict]:
            url = f"{demo['csc']['url']}/csc/v2/{method}"
            async with session.post(url, json=body) as answer:
                return answer.status, await answer.json()

        _, granted = await ask("credentials/authorize", {
            "credentialID": credential, "numSignatures": 1,
            "hashes": [digest], "hashAlgorithmOID": SHA256,
        })
        _, begun = await ask("signatures/signDoc", {
            "credentialID": credential, "SAD": granted["SAD"], "operationMode": "A",
            "documentDigests": [{
                "hashes": [digest], "hashAlgorithmOID": SHA256, "signAlgo": RSA,
                "signature_format": "P", "conformance_level": "AdES-B-B",
            }],
        })
        status, signed = 202, {}
        while status == 202:
            status, signed = await ask("signatures/signPolling", {"requestID": begun["responseID"]})
        if status != 200:
            raise SystemExit(f"{status} {signed}")

    cms = base64.b64decode(signed["SignatureObject"][0])
    await PdfTBSDocument.async_finish_signing(output, prepared, cms)
    target.write_bytes(output.getvalue())


async def main(manifest: str, source: str, target: str) -> None:
    demo = json.loads(Path(manifest).read_text())
    person = next(p for p in demo["csc"]["persons"] if "access_token" in p)
    await sign(demo, person, Path(source), Path(target))
    await verify(demo, Path(target))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4]))
