//! What differs between estates: names, the arm of the policy, addresses, lifetimes.

use hpki::name::DistinguishedName;
use hpki::oid::{self, ObjectIdentifier};
use hpki::profile::PolicyStatement;

use crate::authority::{Authority, SigningAuthority};

/// How an organisation's authorities are called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningNames {
    /// O
    pub organization: String,
    /// OU
    pub unit: String,
    /// CN, by the pattern `HPKI-<nn>-<name>-forNonRepudiation`
    pub common_name: String,
    /// CN of its authority for cards' authentication certificates, by the pattern
    /// `HPKI-<nn>-<name>-forAuthentication-forIndividual`
    pub authentication_name: String,
}

/// What differs between estates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaConfig {
    /// O of the root.
    pub root_organization: String,
    /// The two OUs of the root, in order; it has no CN.
    pub root_units: [String; 2],
    /// O and OU of the root in Japanese.
    pub root_ja: [String; 2],
    /// JMA, JPA, MEDIS.
    pub signing: [SigningNames; 3],
    /// O and CN of the TLS authority.
    pub tls: [String; 2],
    /// The policy that signing authorities may issue under.
    pub authority_policy: ObjectIdentifier,
    /// The policy in subscribers' certificates; another one than the authorities' cannot be
    /// validated, and that is what a test arm under a production authority must show.
    pub subscriber_policy: ObjectIdentifier,
    /// The policy that authentication authorities may issue under (arm `.2.`).
    pub authentication_authority_policy: ObjectIdentifier,
    /// The policy in cards' authentication certificates.
    pub authentication_policy: ObjectIdentifier,
    /// Whether cards' authentication certificates say that they are for TLS clients. Whether real
    /// ones do is unknown.
    pub authentication_client_auth: bool,
    /// Where the practice statement is.
    pub cps: String,
    /// Where lists are published, without a slash at the end: `<repository>/<list>.crl`. The host
    /// is a dotted name, as validators want it.
    pub repository: String,
    /// How long a subscriber's certificate is valid, in years (5 at MEDIS and JMA).
    pub subscriber_years: i32,
}

impl CaConfig {
    /// A test estate named after the real one, with the policy arm of production certificates
    /// (`.3.1`), publishing at this address.
    pub fn test_estate(repository: &str) -> Self {
        let names = |organization: &str, unit: &str, [sign, auth]: [&str; 2]| SigningNames {
            organization: organization.into(),
            unit: unit.into(),
            common_name: format!("HPKI-01-{sign}-forNonRepudiation"),
            authentication_name: format!("HPKI-01-{auth}-forAuthentication-forIndividual"),
        };
        Self {
            root_organization: "TEST Ministry of Health, Labour and Welfare".into(),
            root_units: [
                "TEST Director-General for Policy Planning and Evaluation".into(),
                "TEST MHLW HPKI Root CA V2".into(),
            ],
            root_ja: ["試験用厚生労働省".into(), "試験用政策統括官".into()],
            signing: [
                names(
                    "TEST Japan Medical Association",
                    "TEST Digital Certificate Center",
                    ["TEST_HPKI_JV2", "TEST_HPKI_JAuthV2"],
                ),
                names(
                    "TEST Japan Pharmaceutical Association",
                    "TEST HPKI CA",
                    ["TEST_JpaSignCA", "TEST_JpaAuthCA"],
                ),
                names(
                    "TEST MEDIS",
                    "TEST MEDIS HPKI CA",
                    ["TEST_MedisSignCA2", "TEST_MedisAuthCA2"],
                ),
            ],
            tls: ["TEST Azukari".into(), "TEST Azukari Facility TLS CA".into()],
            authority_policy: oid::POLICY_SIGNING,
            subscriber_policy: oid::POLICY_SIGNING,
            authentication_authority_policy: oid::POLICY_AUTHENTICATION,
            authentication_policy: oid::POLICY_AUTHENTICATION,
            authentication_client_auth: false,
            cps: format!("{repository}/"),
            repository: repository.to_owned(),
            subscriber_years: 5,
        }
    }

    /// The address of a list.
    pub fn list_url(&self, list: &str) -> String {
        format!("{}/{list}.crl", self.repository)
    }

    pub(crate) fn name(&self, authority: Authority) -> Result<DistinguishedName, hpki::Refusal> {
        let name = DistinguishedName::builder().country("JP");
        match authority {
            Authority::Root => name
                .organization(&self.root_organization)
                .unit(&self.root_units[0])
                .unit(&self.root_units[1]),
            Authority::Signing(signing) => {
                let names = self.names(signing);
                name.organization(&names.organization)
                    .unit(&names.unit)
                    .common_name(&names.common_name)
            }
            Authority::Authentication(signing) => {
                let names = self.names(signing);
                name.organization(&names.organization)
                    .unit(&names.unit)
                    .common_name(&names.authentication_name)
            }
            Authority::Facility => name.organization(&self.tls[0]).common_name(&self.tls[1]),
        }
        .build()
    }

    fn names(&self, signing: SigningAuthority) -> &SigningNames {
        &self.signing[match signing {
            SigningAuthority::Jma => 0,
            SigningAuthority::Jpa => 1,
            SigningAuthority::Medis => 2,
        }]
    }

    /// The policy that this authority may issue under.
    pub(crate) fn authority_policy_of(&self, authority: Authority) -> ObjectIdentifier {
        match authority {
            Authority::Authentication(_) => self.authentication_authority_policy,
            Authority::Root | Authority::Signing(_) | Authority::Facility => self.authority_policy,
        }
    }

    pub(crate) fn root_name_ja(&self) -> Result<DistinguishedName, hpki::Refusal> {
        let name = DistinguishedName::builder().country("JP");
        name.organization(&self.root_ja[0]).unit(&self.root_ja[1]).build()
    }

    /// The directory name of one of the root's lists: the root's own name and `CN=RARL` or
    /// `CN=SARL`.
    pub(crate) fn root_list_name(&self, list: &str) -> Result<DistinguishedName, hpki::Refusal> {
        DistinguishedName::builder()
            .country("JP")
            .organization(&self.root_organization)
            .unit(&self.root_units[0])
            .unit(&self.root_units[1])
            .common_name(&list.to_ascii_uppercase())
            .build()
    }

    pub(crate) fn statement(&self, oid: ObjectIdentifier) -> PolicyStatement {
        PolicyStatement { oid, cps: self.cps.clone() }
    }
}
