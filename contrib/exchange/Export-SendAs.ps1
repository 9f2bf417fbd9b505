#Requires -Version 5.1
<#
.SYNOPSIS
    Exports which addresses a mailbox of Exchange Online may send as.

.DESCRIPTION
    Writes a CSV file that relay.conf's send_as_file reads as it is, and that
    `xoauth2ctl sendas import` turns into a plain list. One row for each
    recipient that gave one of the mailboxes the right SendAs, with all SMTP
    addresses of that recipient. Rows that deny the right are exported as well,
    as they win.

    The names that Get-RecipientPermission prints are not addresses, so each is
    looked up. When one can't be found, or means several recipients, the file is
    not written: half of a list would have mail rewritten that need not be.

    Needs the module ExchangeOnlineManagement, and a role that may run
    Get-RecipientPermission, Get-EXOMailbox and Get-Recipient: View-Only
    Recipients is enough. Changes nothing in the organisation.

.PARAMETER Mailbox
    The mailboxes that log in at the submission server, by their addresses as
    they are written in relay.conf.

.PARAMETER Path
    The file to write. It is replaced when all of it is there.

.PARAMETER UserPrincipalName
    Who signs in, in a browser. Without it Connect-ExchangeOnline asks.

.PARAMETER AppId
    For use without a person: the application that signs in by a certificate.

.PARAMETER CertificateThumbprint
    The certificate of AppId, in the certificate store of the current user.

.PARAMETER Organization
    The organisation's initial domain, such as contoso.onmicrosoft.com.

.PARAMETER NoConnect
    Use the connection that this session has already.

.EXAMPLE
    .\Export-SendAs.ps1 -Mailbox relay@contoso.com

    Asks who signs in, and writes sendas.csv.

.EXAMPLE
    .\Export-SendAs.ps1 -Mailbox relay@contoso.com, scanner@contoso.com -Path C:\Export\sendas.csv -AppId 00001111-aaaa-2222-bbbb-3333cccc4444 -CertificateThumbprint 0123456789ABCDEF0123456789ABCDEF01234567 -Organization contoso.onmicrosoft.com

    From a scheduled task, for two mailboxes in one file: each takes the rows
    that are its own.

.NOTES
    On the relay:
        xoauth2ctl sendas import --mailbox relay@contoso.com sendas.csv
        mailbox "relay@contoso.com" { send_as_file = "/etc/xoauth2-relay/sendas.csv" ... }
#>
[CmdletBinding(DefaultParameterSetName = 'Person')]
param(
    [Parameter(Mandatory = $true, Position = 0)]
    [ValidateNotNullOrEmpty()]
    [string[]] $Mailbox,

    [Parameter(Position = 1)]
    [ValidateNotNullOrEmpty()]
    [string] $Path = 'sendas.csv',

    [Parameter(ParameterSetName = 'Person')]
    [string] $UserPrincipalName,

    [Parameter(ParameterSetName = 'Application', Mandatory = $true)]
    [string] $AppId,

    [Parameter(ParameterSetName = 'Application', Mandatory = $true)]
    [string] $CertificateThumbprint,

    [Parameter(ParameterSetName = 'Application', Mandatory = $true)]
    [string] $Organization,

    [Parameter(ParameterSetName = 'Connected', Mandatory = $true)]
    [switch] $NoConnect
)

Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'

# The SMTP addresses of a recipient in one field: what is joined by blanks is
# not written as the name of a type.
function Join-SmtpAddress {
    param($Recipient)

    $addresses = @($Recipient.EmailAddresses | ForEach-Object { "$_" } |
            Where-Object { $_ -like 'smtp:*' })
    if ($addresses.Count -eq 0) {
        $addresses = @("SMTP:$($Recipient.PrimarySmtpAddress)")
    }
    return $addresses -join ' '
}

# The one recipient of that name: a mailbox, or a group, a contact and the like.
function Find-Recipient {
    param([string] $Identity)

    $found = @(Get-EXOMailbox -Identity $Identity -ErrorAction SilentlyContinue)
    if ($found.Count -eq 0) {
        $found = @(Get-Recipient -Identity $Identity -ErrorAction SilentlyContinue)
    }
    if ($found.Count -ne 1) {
        throw "'$Identity' means $($found.Count) recipients where it should mean one; nothing is written."
    }
    return $found[0]
}

$connection = @{ ShowBanner = $false }
switch ($PSCmdlet.ParameterSetName) {
    'Person' {
        if ($UserPrincipalName) {
            $connection.UserPrincipalName = $UserPrincipalName
        }
    }
    'Application' {
        $connection.AppId = $AppId
        $connection.CertificateThumbprint = $CertificateThumbprint
        $connection.Organization = $Organization
    }
}
if (-not $NoConnect) {
    Connect-ExchangeOnline @connection
}

try {
    $rows = foreach ($address in $Mailbox) {
        $trustee = Find-Recipient -Identity $address
        $permissions = @(Get-RecipientPermission -Trustee $trustee.PrimarySmtpAddress -AccessRights SendAs -ResultSize Unlimited)
        foreach ($permission in $permissions) {
            $recipient = Find-Recipient -Identity $permission.Identity
            [PSCustomObject]@{
                Identity           = "$($permission.Identity)"
                DisplayName        = "$($recipient.DisplayName)"
                PrimarySmtpAddress = "$($recipient.PrimarySmtpAddress)"
                EmailAddresses     = Join-SmtpAddress -Recipient $recipient
                Trustee            = $address
                TrusteeName        = "$($trustee.DisplayName)"
                AccessControlType  = "$($permission.AccessControlType)"
                AccessRights       = 'SendAs'
                IsInherited        = "$($permission.IsInherited)"
            }
        }
        Write-Verbose "$address may send as $($permissions.Count) recipients"
    }
} finally {
    if (-not $NoConnect) {
        Disconnect-ExchangeOnline -Confirm:$false
    }
}

if (-not $rows) {
    throw 'Nobody gave these mailboxes the right SendAs; nothing is written.'
}
$rows | Export-Csv -Path "$Path.new" -NoTypeInformation -Encoding UTF8
Move-Item -Path "$Path.new" -Destination $Path -Force
Write-Verbose "$(@($rows).Count) rows in $Path"
